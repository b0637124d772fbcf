"""Intensity scales that training and prediction must agree on.

A recording is scaled once, from bounds that are found behind a 3 x 3 median filter,
which no single hot or dead pixel survives; the filter takes something off the peaks,
which is put back.  Training draws its scales around those that prediction finds.
"""

SPOT_PEAK_OVER_MEDIAN = 1.5
"""Peak of a spot over its value behind the median filter, sigma about 1.1 px."""

SPOT_CLIP = (-0.5, 3.0)
"""Frames of spots are limited to this range; a hot pixel is at most three times the
brightest emitters."""

IMAGE_PEAK_OVER_MEDIAN = 1.2
"""Largest value of an image over that behind the median filter.  In simulated images of
cells, sampled at Nyquist's rate, the filter takes 3 to 23 % off the peak without noise,
and 5 to 34 % off the largest count at 15 to 600 photons."""

IMAGE_NOISE_SIGMAS = 2.5
"""The low end of an image lies this far below its minimum behind the median filter, in
standard deviations of the noise there: image networks are trained on images whose
lowest count is 0.  Together, counts then span -0.06 to 1.15 in 80 % of those images,
like the 0 to 1 of the training; the filtered minimum alone lets them reach -0.2."""

IMAGE_BLANK_SIGMAS = (5.0, 7.0)
"""Range of an image behind the median filter, in standard deviations of the noise, up
to which there is nothing but noise, and from which there is structure.  Noise alone has
3.8 to 4.7 in simulated fields of 128 px."""

IMAGE_BLANK_SPAN = 16.0
"""Standard deviations of the noise that the range of a blank image is widened to, so
that its noise does not fill the range of a structure: of 29 false spots per 100 µm²
that `dfcan_widefield` made of noise, and 510 of `dfcan_sim`, none is left
(`zoo.test_sets.invention`); 8 left three."""

IMAGE_CLIP = (-0.1, 1.25)
"""Scaled images are limited to this range, a little more than what was trained."""
