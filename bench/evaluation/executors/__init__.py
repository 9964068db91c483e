"""How units of work are run: here, or on other machines."""
