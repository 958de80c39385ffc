# What lies in a folder of an application: how much room it takes, how it is emptied, where files go.
import os

from micropython import const

_DIRECTORY = const(0x4000)
_EXISTS = const(17)


def blocks_of(size):
    """Return the blocks of 4 KB that a file takes: littlefs needs up to 8 bytes of each for itself."""
    return size // 4088 + 1


def count(path):
    """Return (files, blocks) below path; (0, 0) when it is not there."""
    files = blocks = 0
    try:
        for entry in os.ilistdir(path):
            if entry[1] == _DIRECTORY:
                inside = count(path + "/" + entry[0])
                files += inside[0]
                blocks += inside[1] + 2
            else:
                files += 1
                blocks += blocks_of(entry[3])  # type: ignore
    except OSError:
        pass
    return files, blocks


def remove_one(path):
    """Remove the first file or empty folder that is found below path. False: there is none."""
    for entry in os.ilistdir(path):
        name = path + "/" + entry[0]
        if entry[1] != _DIRECTORY:
            os.remove(name)
        elif not remove_one(name):
            os.rmdir(name)
        return True
    return False


def make_parents(path):
    """Make the folders that a file is to lie in."""
    at = path.find("/", 1)
    while at > 0:
        try:
            os.mkdir(path[:at])
        except OSError as e:
            if e.args[0] != _EXISTS:
                raise
        at = path.find("/", at + 1)
