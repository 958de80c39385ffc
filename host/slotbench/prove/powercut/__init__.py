"""Power is cut at every flash operation of an update: no board is bricked, and nothing unverified
runs.
"""
