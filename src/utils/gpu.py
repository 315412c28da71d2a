"""What the threads of this process have to know of each other on a GPU."""

import threading

# Held by a thread that draws on the GPU, and by another one while it records a graph: Torch's generator on the GPU
# refuses to draw in one thread while another one records.
alone = threading.Lock()
