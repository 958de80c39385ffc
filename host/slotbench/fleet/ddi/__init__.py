"""hawkBit's Direct Device Integration API (DDI): a server for devices that speak it, and a client.

The names of the API are hawkBit's: a *target* is a device, a *tenant* is whom it belongs to, an *action*
is one release that was offered to one target. What a target reports becomes what boards prove:
`fleet.recorder` writes it, so that rollouts and pages know these devices like boards.
"""
