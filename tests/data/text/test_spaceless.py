"""Texts without spaces between words are told from all others."""

from __future__ import annotations

import random

import pytest

from unrolled.data.text.spaceless import without_spaces

CHINESE = ["这个", "故事", "非常", "无聊", "有点", "失望", "好"]
THAI = ["ฉัน", "ชอบ", "หนังสือ", "เล่ม", "นี้", "มาก"]
JAPANESE = ["この", "映画", "は", "とても", "面白い", "です"]
ENGLISH = ["this", "story", "is", "dull", "été", "Ünder"]


@pytest.mark.parametrize("words", [CHINESE, THAI, JAPANESE])
def test_scripts_without_spaces(words: list[str]):
    chance = random.Random(1)
    texts = [[chance.choice(words) for _ in range(chance.randint(2, 12))] for _ in range(50)]
    whole = ["".join(text) + chance.choice(["", "\u3002", " 8", "!"]) for text in texts]
    assert without_spaces(whole)
    assert not without_spaces(" ".join(text) for text in texts)  # cut into words already
    assert without_spaces([*whole, "three English words"])


def test_all_other_texts():
    assert not without_spaces([" ".join(ENGLISH), "한국어는 띄어쓰기를 한다", "По-русски тоже"])
    assert not without_spaces([]) and not without_spaces(["", "123 ...", "\u3002"])
    assert not without_spaces(["word" * 40])  # nothing is known of what that is
