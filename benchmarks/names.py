"""Names of the suites' tables and of the ways to encode fewer windows, as the report and the picture look them up."""

CURVE, FAST_IMAGES = "fast-curve", "fast-images"
PRESET, FRACTION, STRIDE = "preset fast", "fraction", "coarser stride"
COMMANDS, PROCESSES = "commands", "processes"
SIZES = "sizes"
AUTO = "auto"
GPU, GPU_ANSWERS = "gpu", "gpu answers"
HOSTS, HOST_SAMPLES = "hosts", "hosts samples"
