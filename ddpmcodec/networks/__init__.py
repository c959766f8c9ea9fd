"""Networks: one folder for each kind of model file, and the contract of denoisers."""
