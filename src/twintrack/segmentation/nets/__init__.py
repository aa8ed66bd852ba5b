"""Networks: loading them safely and running them. The files of this room import torch."""
