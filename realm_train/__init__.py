"""PyTorch side of REALM: data, models, training and evaluation; leaves run folders that `export` reads."""
