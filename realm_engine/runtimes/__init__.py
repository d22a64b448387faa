"""Runtimes on devices: the only place that knows one."""
