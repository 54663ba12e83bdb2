"""raw.py - devices that forward frames without reading them: the floor that a packet device stands on."""
DEVICES = ()
