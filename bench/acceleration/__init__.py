"""A network in the form that answers fastest, on this device; the forms know nothing of attacks."""

from bench.acceleration.batch_norm import Folded, traced
from bench.acceleration.forms import FastForms

__all__ = ["FastForms", "Folded", "traced"]
