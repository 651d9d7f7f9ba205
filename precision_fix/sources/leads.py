"""What the project's own Python makes of a setting, and so whether that may change: one option, one verdict.

Where its readers lead bfloat16's word to an arm that is rewritten, the word stays, and goes by that arm: should the arm
stay after all, a person is asked (`Part.FOLLOWS`). Where they refuse another word, it stays. Where they know a word for
the target precision, it is that word.
"""

from __future__ import annotations

from dataclasses import replace

from precision_fix.model.eager import eager_alone
from precision_fix.model.edit import GiveValue
from precision_fix.model.fate import Fate
from precision_fix.model.finding import Action, Part, Verdict, change, keep, manual
from precision_fix.model.guard import FULL_WORDS
from precision_fix.model.library_answers import answer as of_library
from precision_fix.model.setting import Setting
from precision_fix.model.vocabulary import attention, precision
from precision_fix.sources.readers import Reader, Readers, readers_of


def settled(setting: Setting, verdict: Verdict, *, anybody: bool) -> Verdict:
    """The verdict on a setting, held against its readers in the project.

    `anybody` says that no library is known to read it, so that the project itself may.
    """
    new = verdict.change.value if isinstance(verdict.change, GiveValue) else None
    if new == "sdpa":
        why = eager_alone(setting.document.around)
        return change(why, GiveValue("eager")) if why else verdict
    if new is False and attention.SWITCH.fullmatch(setting.name):
        return _attention(setting, verdict)
    if verdict.action is Action.KEEP or precision.is_filled_in(setting.value):
        return verdict
    if precision.says(setting.value, setting.name):
        return _word(setting, verdict, new if isinstance(new, str) else None, anybody)
    return _switch(setting, verdict) if precision.names_bfloat16(setting.name) else verdict


# A word.


def _word(setting: Setting, verdict: Verdict, new: str | None, anybody: bool) -> Verdict:
    readers = readers_of(setting, is_word=True)
    if readers is None or not readers.ends:
        return verdict
    refused = next((end for end in readers.ends if end.fate is Fate.REFUSED and _would_refuse(end, new)), None)
    if refused is not None and (readers.sure or refused.is_held_against):
        if readers.leads and readers.beyond is None:
            return _stays(readers, f"{_takes(refused)} ({refused.where})")
        asked = manual(f"{_takes(refused)} ({refused.where}): change both")
        holds = refused.applies(_given(setting))
        return replace(asked, part=Part.HOLDS, moves_with=readers.places) if holds else asked
    read = readers.bits
    if read is not None and read.alone:
        return keep(f"leads to a dtype of which the bits are read ({read.where})")
    if read is not None:
        return manual(f"leads to a dtype of which the bits are read in one place ({read.where}), not in all: see both")
    shut = next((end for end in readers.ends if readers.sure and _shuts_out(end, str(setting.value), new)), None)
    if not anybody and verdict.action is Action.REWRITE and shut is None:
        return _of_library(readers, verdict)
    known = readers.common
    if known is not None and known != setting.value:
        why = verdict.reason if verdict.action is Action.REWRITE else "the word that all its readers know"
        return replace(change(why, GiveValue(known)), part=Part.FOLLOWS, moves_with=readers.places)
    if shut is not None and not readers.leads:
        return manual(f"{_takes(shut)} ({shut.where}): change both")
    if not readers.leads:
        return verdict
    if readers.beyond is not None:
        out = readers.beyond.where
        return manual(f"compared ({readers.leads[0].where}), and handed on ({out}): see which word both take")
    return _stays(readers, "")


def _of_library(readers: Readers, verdict: Verdict) -> Verdict:
    """A library reads the word, and so does the project: what that makes of another must be no half either."""
    falls = next((arm for arm in readers.leads if arm.else_half), None) if readers.sure else None
    if falls is None:
        return verdict
    return replace(
        manual(f"a library reads it, and {falls.where} makes float16 of any other word: change both"),
        part=Part.HOLDS,
        moves_with=readers.places,
    )


def _would_refuse(reader: Reader, new: str | None) -> bool:
    if new is None or not reader.is_test:
        return True
    return new in reader.refuses if reader.refuses & FULL_WORDS else new not in reader.lets


def _shuts_out(reader: Reader, word: str, new: str | None) -> bool:
    """`assert level in ("bf16", "16", "32")`: it takes a word for float32, and not the one that is meant."""
    words = {each.strip("'") for each in reader.lets}
    return new is not None and word in words and new not in words


def _takes(reader: Reader) -> str:
    if reader.is_held_against:
        return "the program holds what it makes against the word there"
    words = ", ".join(sorted(word.strip("'") for word in reader.lets))
    return f"the program takes only {words} there" if words else "the program refuses the word there"


# A switch.


def _switch(setting: Setting, verdict: Verdict) -> Verdict:
    readers = readers_of(setting, is_word=False)
    if readers is None or not readers.ends or not readers.sure:
        return verdict
    given = _given(setting)
    refused = next((end for end in readers.ends if end.stops_off(given)), None)
    falls = next((arm for arm in readers.leads if arm.else_half), None)
    if refused is not None:
        why = f"the program stops without it ({refused.where})"
    elif falls is not None:
        why = f"without it the program chooses float16 ({falls.where})"
    else:
        why = ""
    alone = readers.beyond is None and not _may_be_librarys(setting)
    if readers.leads and alone and (why or verdict.action is Action.MANUAL):
        return _stays(readers, why)
    if not why:
        return verdict
    # What one line asks for besides says nothing of the others, for which the arms are as well.
    always = falls is not None or (refused is not None and refused.stops_off(()))
    asked = manual(f"{why}: change both")
    return replace(asked, part=Part.HOLDS, moves_with=readers.places) if always else asked


def _attention(setting: Setting, verdict: Verdict) -> Verdict:
    """Flash attention is turned off where the program goes on without it."""
    readers, given = readers_of(setting, is_word=False), _given(setting)
    refused = next((end for end in readers.ends if end.stops_off(given)), None) if readers else None
    if readers is None or refused is None or not readers.sure:
        return verdict
    return manual(f"flash attention does not run here, and the program stops without it ({refused.where})")


def _given(setting: Setting) -> set[str]:
    """The other names that are given a value beside a setting."""
    return {*setting.document.mapping(setting.keys[:-1])} - {setting.name}


def _may_be_librarys(setting: Setting) -> bool:
    """Whether a library may read the switch as well: it has one of that name, and no parser of the project declares it.

    A field may be one that a class of the library takes over.
    """
    declared = setting.declared
    on = replace(setting, value=True)
    return (declared is None or not declared.variable or declared.is_field) and of_library(on) is not None


def _stays(readers: Readers, why: str) -> Verdict:
    """It stays, as what it leads to is rewritten."""
    where = readers.leads[0].where
    told = f"{why}; what it" if why else f"compared in {where}; what it"
    there = f"({where})" if why else "there"
    return replace(keep(f"{told} leads to is rewritten {there}"), part=Part.FOLLOWS, moves_with=readers.places)
