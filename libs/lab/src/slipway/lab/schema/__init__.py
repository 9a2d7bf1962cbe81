"""What may be said in a call: parameters, formats and the declaration of every call the lab knows."""
