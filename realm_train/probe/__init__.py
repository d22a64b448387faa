"""The probe: photograph or generated, by a linear head on the features of a frozen backbone."""
