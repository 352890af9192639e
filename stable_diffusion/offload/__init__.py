"""Offloading of a UNet: weights are copied to the device while earlier layers compute.

The layers are divided into parts. Some parts are resident on the device as long as a batch is
sampled; the others are streamed through two buffers: while one part computes, the next is copied.
The UNet takes as much of the device's memory as it may, and as much more time as copies take that
computing does not hide.
"""
