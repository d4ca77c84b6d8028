"""Whether a file is on a disk of this machine: others may hang (statfs(2))."""

import ctypes

_libc = ctypes.CDLL(None, use_errno=True)
_STATFS_BYTES = 256
_LOCAL = frozenset(
    (
        0xEF53,  # ext2, ext3, ext4
        0x58465342,  # XFS
        0x9123683E,  # Btrfs
        0x2FC12FC1,  # ZFS
        0xF2F52010,  # F2FS
        0xCA451A4E,  # bcachefs
        0x01021994,  # tmpfs
        0x858458F6,  # ramfs
        0x794C7630,  # overlayfs
    )
)


def is_local(descriptor: int) -> bool:
    """Whether it is known to be local: not NFS, SMB, FUSE, or anything that we do not know."""
    buffer = ctypes.create_string_buffer(_STATFS_BYTES)
    if _libc.fstatfs(ctypes.c_int(descriptor), buffer) != 0:
        return False
    return ctypes.c_ulong.from_buffer(buffer).value & 0xFFFFFFFF in _LOCAL
