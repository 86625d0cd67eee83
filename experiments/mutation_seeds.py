"""The netlists that ``netlist_mutations.py`` spoils, and the pieces that it puts into them."""

from __future__ import annotations

_NETLISTS = """
divider
V1 in 0 10
R1 in out 4.7k
R2 out 0 {2*r}
Rload out 0 1meg
.param r=1.5k

sources
V1 a 0 DC 2 AC 1
I1 0 b 2m
R1 a b 1k
R2 b 0 470
V2 b c 0
R3 c 0 2.2kohm
F1 d 0 V2 3
R4 d 0 1k
H1 e 0 V2 100
R5 e 0 1

controlled
Vin in 0 0.5
E1 b 0 in 0 4
R1 b c 1k
G1 c 0 in b 1m
R2 c 0 2k
E2 d 0 poly(2) in 0 c 0 1 2 3
R3 d 0 1k

diodes
V1 a 0 5
R1 a b 1k
D1 b c dm
D2 c 0 dm area=2
.model dm D(is=1e-14 n=1.2 rs=3)
.nodeset v(c)=0.6

mosfet
Vdd d 0 3
Vg g 0 1.5
R1 d o 10k
M1 o g 0 0 nm W=10u L=2u
.model nm NMOS(level=1 vto=0.7 kp=100u gamma=0.4 lambda=0.02)

switch
V1 a 0 2
R1 a b 1k
S1 b 0 a 0 sw on
.model sw SW(vt=1 vh=0.2 ron=100 roff=1meg)
.ic v(b)=1

behavioural
V1 1 0 2
R1 1 2 1k
B1 2 0 I={1m*tanh(V(2)/0.5)}
B2 3 0 V=v(1,2)**2 + exp(-v(2)) - 2*v(1)^3
R3 3 0 1k

functions
.func g(x,y) {2*x + y*x*x}
.func three() {3}
.param k=0.1
V1 1 0 {three()}
R1 1 2 1k
G1 2 0 value={1e-3*g(V(2),k)}
E1 3 0 vol='g(v(1), v(2))'
R2 3 0 {g(2,1)*1k}

parameters
.param a=2 b={a*3} c='b>5 ? 1k : 2k'
.param d={min(a,b)**2+sqrt(a)}
V1 1 0 {b-a}
R1 1 2 {c}
R2 2 0 {d*100}
I1 0 2 {-a/1000}

subcircuits
.subckt cell a b r=1k
R1 a m {r}
R2 m b {2*r}
D1 m b dm
.ends cell
.model dm D(is=1e-12)
V1 in 0 3
X1 in mid cell
X2 mid 0 cell r=2k
X3 mid 0 cell params: r={3*k}
.param k=500

nested
.subckt outer p n g=2
.subckt inner a b
R1 a b {1k*g}
.ends
X1 p q inner
X2 q n inner
I1 0 q 1m
.ends outer
V1 1 0 1
X9 1 2 outer g=3
R9 2 0 100
.global vcc
V2 vcc 0 5
R8 vcc 2 10k

waveforms
V1 a 0 PULSE(3 2 0 1n 1n 1u 2u)
V2 b 0 SIN(1 2 1k 0 0 90)
V3 c 0 PWL(0 5 1m 6)
R1 a b 1k
R2 b c 1k
C1 c 0 1u ic=1
L1 a d 1m
R3 d 0 50
.tran 1u 1m

text
* a comment
v1 A 0
+ 5 ; trailing
r1 a b 1K $ comment
R2 B 0 1e3 // comment
*
.OP
.options gmin=1e-12
.temp 27

script
V1 1 0 1
R1 1 2 1k
D1 2 0 d
.model d d is=1e-13
.control
op
print v(2)
.endc

amplifier
V1 in 0 0.1
R1 in x 1k
R2 x out 10k
E1 out 0 0 x 1e4
Rl out 0 1k
C1 x out 1n
.dc V1 0 1 0.25
"""
SEEDS = {text.partition("\n")[0]: f"{text}\n.end\n" for text in _NETLISTS.strip().split("\n\n")}
"""Each by its title."""

_WORDS = r"""
= { } ( ) , ' * + - . ; $ // : _ # ! % & | < > ? ~ ^ \ / " ** d k m u n p f g t x 0 1 5 7 e E D meg mil 1k5
1_000 1e3_5 1D+3 1d3 1e 1e+ 1.2.3 0x10 1e400 1e-400 inf nan -0 1a 10% 1kk 1meg 1mil 2r2 K R1 V1 D1 a b 0 gnd
GND in out v(a) v(1) V(2) i(V1) dc DC ac ic=1 m=2 area=3 temp=50 tc1=1 off on uic .op .end .ends .subckt
.param .model .func .options .ic .nodeset .tran .dc .temp .control .endc .global pulse sin pwl exp value= vol=
I= V= params: poly(1) POLY(2) level=1 W=1u {a} {k} {1/0} {2**3} {(-2)**3} pow(-2,3) (-2)**2 2**3**2 -2^2 1?2:3
a>b abs(-1) sqrt(4) min(1,2) ln(2) log(2) sgn(-1) int(1.7) nint(2.5)
"""
_ODD = [
    "\u0663",
    "\uff11",
    "\xb5",
    "\u03bc",
    "\u03a9",
    "\xe9",
    "\u017f",
    "\xb2",
    "\xbd",
    "\xa0",
    "\t",
    "\r",
    "\x0c",
    "\x0b",
    "\x00",
    "\u2003",
    "\u200b",
    "\ufeff",
    "\u2028",
    "\x85",
    "\x1b",
    " ",
    "  ",
]
PIECES = [*_WORDS.split(), *_ODD]
"""Words and characters that an accident, another language or a hostile hand may put anywhere."""
