"""HTTP as pveproxy speaks it: the front, requests and answers."""
