"""Letters of 5 by 7 dots, for pictures that are made without a library."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

__all__ = ["ADVANCE", "HEIGHT", "dots"]

ADVANCE: Final = 6
"""From one letter to the next, in dots."""
HEIGHT: Final = 7
_UNKNOWN: Final = "VHHHHHV"
# Seven rows from the top, each a digit to the base 32 whose five bits are the dots of the row.
_ROWS: Final = dict(pair.split("=", 1) for pair in """
0=EHJLPHE 1=4C4444E 2=EH1248V 3=V2421HE 4=26AIV22 5=VGU11HE 6=68GUHHE 7=V124888 8=EHHEHHE 9=EHHF12C
A=EHHVHHH B=UHHUHHU C=EHGGGHE D=SIHHHIS E=VGGUGGV F=VGGUGGG G=EHGNHHF H=HHHVHHH I=E44444E J=72222IC
K=HIKOKIH L=GGGGGGV M=HRLLHHH N=HHPLJHH O=EHHHHHE P=UHHUGGG Q=EHHHLID R=UHHUKIH S=FGGE11U T=V444444
U=HHHHHHE V=HHHHHA4 W=HHHLLLA X=HHA4AHH Y=HHHA444 Z=V1248GV
a=00E1FHF b=GGMPHHU c=00EGGHE d=11DJHHF e=00EHVGE f=698S888 g=0FHHF1E h=GGMPHHH i=40C444E j=20622IC
k=GGIKOKI l=C44444E m=00QLLHH n=00MPHHH o=00EHHHE p=00UHUGG q=00DJF11 r=00MPGGG s=00EGE1U t=88S8896
u=00HHHJD v=00HHHA4 w=00HHLLA x=00HA4AH y=00HHF1E z=00V248V
.=00000CC ,=0000C48 -=000V000 +=044V440 >=8421248 <=248G842 %=OP248J3 (=2488842 )=8422248 _=000000V
:=0CC0CC0 /=01248G0 *=04LEL40
""".split()) | {" ": "0000000", "=": "00V0V00"}


def dots(words: str) -> Iterator[tuple[int, int]]:
    """(x, y) of each dot of the words, from their upper left corner."""
    for index, letter in enumerate(words):
        for y, row in enumerate(_ROWS.get(letter, _UNKNOWN)):
            bits = int(row, 32)
            for x in range(5):
                if bits >> 4 - x & 1:
                    yield index * ADVANCE + x, y
