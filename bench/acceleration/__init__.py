"""A network in the form that answers fastest, on this device; the forms know nothing of attacks."""
