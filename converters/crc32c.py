"""The checksum of TensorFlow's checkpoints: CRC-32C (RFC 3720, section B.4).

Long arrays are cut into parts that are summed side by side.  As the sum without its
first value is linear, parts are put together by matrices over the bits.
"""

import numpy as np

_POLYNOMIAL = 0x82F63B78
_START = 0xFFFFFFFF
_MASK = 0xA282EAD8
_PARTS = 1 << 14
_AT_ONCE = 1 << 24  # bytes
_BITS = np.arange(32, dtype=np.uint32)


def crc32c(content: bytes | memoryview) -> int:
    """Return the checksum of bytes.

    Examples
    --------
    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    data = np.frombuffer(content, np.uint8)
    state = np.full(1, _START, np.uint32)
    for start in range(0, len(data), _AT_ONCE):
        block = data[start : start + _AT_ONCE]
        state = _behind(state, len(block)) ^ _linear(block)
    return int(state[0]) ^ _START


def masked(checksum: int) -> int:
    """Return a checksum as it is stored: turned by 15 bits, and a number added.

    Examples
    --------
    >>> hex(masked(0xE3069283))
    '0xc78ab0e5'
    """
    turned = (checksum >> 15 | checksum << 17) & 0xFFFFFFFF
    return (turned + _MASK) & 0xFFFFFFFF


def _linear(data: np.ndarray) -> np.ndarray:
    """Return the sum that begins with nothing, (1,)."""
    parts = 1 if len(data) < 256 else min(_PARTS, 1 << (len(data).bit_length() - 7))
    length = -(-len(data) // parts)
    # zeros in front do not change it
    padded = np.concatenate([np.zeros(parts * length - len(data), np.uint8), data])
    states = np.zeros(parts, np.uint32)
    for bytes_ in np.ascontiguousarray(padded.reshape(parts, length).T):
        states = _TABLE[(states ^ bytes_) & np.uint32(255)] ^ (states >> np.uint32(8))
    while len(states) > 1:
        states = _behind(states[::2], length) ^ states[1::2]
        length *= 2
    return states


def _behind(states: np.ndarray, zeros: int) -> np.ndarray:
    """Return states after a number of zero bytes."""
    for power, matrix in enumerate(_POWERS):
        if zeros >> power & 1:
            states = _applied(matrix, states)
    return states


def _applied(matrix: np.ndarray, states: np.ndarray) -> np.ndarray:
    bits = (states[..., None] >> _BITS) & np.uint32(1)
    return np.bitwise_xor.reduce(bits * matrix, axis=-1)


def _table() -> np.ndarray:
    values = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        odd = (values & np.uint32(1)) * np.uint32(_POLYNOMIAL)
        values = (values >> np.uint32(1)) ^ odd
    return values


def _powers() -> list[np.ndarray]:
    """Return what 1, 2, 4, ... zero bytes make of every bit, (32,) each."""
    single = np.uint32(1) << _BITS
    matrix = _TABLE[single & np.uint32(255)] ^ (single >> np.uint32(8))
    found = [matrix]
    for _ in range(31):
        matrix = _applied(matrix, matrix)
        found.append(matrix)
    return found


_TABLE = _table()
_POWERS = _powers()
