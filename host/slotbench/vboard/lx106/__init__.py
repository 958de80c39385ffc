"""The ESP8266's CPU and the memory around it: runs the loader's machine code on the virtual board.
"""
