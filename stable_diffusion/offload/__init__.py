"""A UNet whose weights come to the device while the layers before them compute.

The layers are cut into parts. Some parts stay as long as a batch is sampled; the others take turns
in two places, and while one computes the next is copied: the UNet needs as much memory as it is
given, and as much time as the copies that computing does not hide.
"""
