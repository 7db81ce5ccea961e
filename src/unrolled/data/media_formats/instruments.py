"""The instruments of General MIDI (1991), level 1. Their program numbers are 0 to 127."""

from __future__ import annotations

from unrolled.core.errors import UsageError, suggest

# Families of eight instruments, in the order of their program numbers.
_FAMILIES = (
    "acoustic grand piano,bright acoustic piano,electric grand piano,honky-tonk piano,electric piano 1,"
    "electric piano 2,harpsichord,clavinet",
    "celesta,glockenspiel,music box,vibraphone,marimba,xylophone,tubular bells,dulcimer",
    "drawbar organ,percussive organ,rock organ,church organ,reed organ,accordion,harmonica,tango accordion",
    "acoustic guitar (nylon),acoustic guitar (steel),electric guitar (jazz),electric guitar (clean),"
    "electric guitar (muted),overdriven guitar,distortion guitar,guitar harmonics",
    "acoustic bass,electric bass (finger),electric bass (pick),fretless bass,slap bass 1,slap bass 2,"
    "synth bass 1,synth bass 2",
    "violin,viola,cello,contrabass,tremolo strings,pizzicato strings,orchestral harp,timpani",
    "string ensemble 1,string ensemble 2,synth strings 1,synth strings 2,choir aahs,voice oohs,synth voice,"
    "orchestra hit",
    "trumpet,trombone,tuba,muted trumpet,french horn,brass section,synth brass 1,synth brass 2",
    "soprano sax,alto sax,tenor sax,baritone sax,oboe,english horn,bassoon,clarinet",
    "piccolo,flute,recorder,pan flute,blown bottle,shakuhachi,whistle,ocarina",
    "square lead,sawtooth lead,calliope lead,chiff lead,charang lead,voice lead,fifths lead,bass and lead",
    "new age pad,warm pad,polysynth pad,choir pad,bowed pad,metallic pad,halo pad,sweep pad",
    "rain,soundtrack,crystal,atmosphere,brightness,goblins,echoes,sci-fi",
    "sitar,banjo,shamisen,koto,kalimba,bagpipe,fiddle,shanai",
    "tinkle bell,agogo,steel drums,woodblock,taiko drum,melodic tom,synth drum,reverse cymbal",
    "guitar fret noise,breath noise,seashore,bird tweet,telephone ring,helicopter,applause,gunshot",
)
NAMES = tuple(name for family in _FAMILIES for name in family.split(","))


def program_of(text: str) -> int:
    """Return the program number of an instrument.

    text: a number from 0 to 127, a name, or a part of a name (`piano`, `guitar`): the first match is used.

    Raises UsageError for an unknown instrument.
    """
    asked = " ".join(text.casefold().split())
    if asked.isascii() and asked.isdigit() and int(asked) < len(NAMES):
        return int(asked)
    if asked in NAMES:
        return NAMES.index(asked)
    found = next((number for number, name in enumerate(NAMES) if asked and asked in name), None)
    if found is None:
        expected = "a General MIDI name such as violin, or a program from 0 to 127"
        raise UsageError(f"unknown instrument {text[:40]!r}", expected=expected, hint=suggest(asked, NAMES))
    return found
