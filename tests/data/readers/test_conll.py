"""CoNLL files: two columns to ten, CoNLL-U, blank lines, and everything that is not quite CoNLL."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unrolled.core.errors import DataError, UsageError
from unrolled.data import records
from unrolled.data.read_request import ReadRequest, parse_columns
from unrolled.data.readers import conll
from unrolled.data.readers.conll import lines, read

TAGS = ReadRequest(target="tags")


def put(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def found(path: Path, wanted: ReadRequest = TAGS) -> list[tuple[object, object, int]]:
    return [(example.x, example.y, example.place.line) for example in read([path], wanted)]


def message(path: Path, wanted: ReadRequest = TAGS) -> str:
    with pytest.raises((DataError, UsageError)) as caught:
        list(read([path], wanted))
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{path}:")


@pytest.mark.parametrize("separator", ["\t", " ", "   ", " \t"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_two_columns(tmp_path, separator, ending):
    rows_ = ["", " \t", "EU B-ORG", "rejects O", "", "\t", "Peter B-PER", "#1 O", ". O"]
    text = ending.join(row.replace(" ", separator) if len(row) > 2 else row for row in rows_)
    if separator == " \t":  # tabs are what separates; the space stays with the token
        text = text.replace(" \t", "\t")
    expected = [(("EU", "rejects"), ("B-ORG", "O"), 3), (("Peter", "#1", "."), ("B-PER", "O", "O"), 7)]
    assert found(put(tmp_path / "a.conll", text)) == expected
    assert found(put(tmp_path / "a.bio", text + ending * 3)) == expected
    assert found(put(tmp_path / "a.iob.gz", gzip.compress(b"\xef\xbb\xbf" + text.encode()))) == expected


def test_columns_by_number(tmp_path):
    file = put(
        tmp_path / "a.conll", "-DOCSTART- -X- O O\n\nEU NNP I-NP B-ORG\n, , O O\n-DOCSTART- -X-\nHi UH O O\n"
    )
    assert found(file) == [(("EU", ","), ("B-ORG", "O"), 3), (("Hi",), ("O",), 6)]
    assert found(file, parse_columns("x=2,y=3", TAGS))[0] == (("NNP", ","), ("I-NP", "O"), 3)
    assert found(file, ReadRequest())[0] == (("EU", ","), ("B-ORG", "O"), 3)
    assert found(file, ReadRequest(target="next"))[0] == (("EU", ","), None, 3)
    assert "no column '5' in a file of 4; expected a number from 1 to 4" in message(
        file, parse_columns("y=5", TAGS)
    )
    assert found(file, ReadRequest(y=("5",)))[1] == (("Hi",), None, 6), "prediction needs no y"
    assert "no column 'upos'" in message(file, parse_columns("y=upos", TAGS))
    assert "column 4 is used for both" in message(file, parse_columns("x=4", TAGS))
    assert "columns 1+2 in a CoNLL file; expected one column" in message(file, parse_columns("x=1+2", TAGS))


def test_one_column_is_tokens_without_tags(tmp_path):
    file = put(tmp_path / "a.conll", "Hello\nworld\n\n#bye\n")
    assert found(file, ReadRequest()) == [(("Hello", "world"), None, 1), (("#bye",), None, 4)]
    assert found(file, ReadRequest(target="next")) == found(file, ReadRequest())
    assert message(file).startswith("1: one column: tokens without tags; expected token and tag")


def test_a_number_sign_is_a_token_outside_conll_u(tmp_path):
    file = put(tmp_path / "a.conll", "#one\tO\n#\tB\n\n#two\tO\n")
    assert found(file) == [(("#one", "#"), ("O", "B"), 1), (("#two",), ("O",), 4)]
    put(file, "EU\tB\n# id 7\n")
    assert "2: 1 column in this line, 2 in most lines; expected 2; try comments before" in message(file)


@pytest.mark.parametrize(
    ("comment", "row"),
    [
        ("# id 7 domain=en", "{} _ _ {}"),  # as many columns as the tokens
        ("# id 7\tdomain=en", "{} _ _ {}"),
        ("# id 7\tdomain=en", "{}\t{}"),
        ("# sent_id = 1\n# text = Ada met a friend", "{} {}"),
        ("# sent_id = 1\n# text = Ada", "{} _ _ {}"),
        ("#", "{}\t{}"),
        ("# a b", "{}\t_\t_\t{}"),
    ],
)
def test_comments_before_sentences_are_left_out(tmp_path, comment, row):
    sentences = [[("Ada", "B-PER"), ("#met", "O"), ("#", "O")], [("#Bob", "B-PER"), ("left", "O")]]
    text = "".join(
        f"{comment}\n" + "".join(row.format(*token) + "\n" for token in sentence) + "\n"
        for sentence in sentences
    )
    file = put(tmp_path / "a.conll", text)
    told = []
    wanted = ReadRequest(target="tags", noted=lambda place, what: told.append((place.line, what)))
    assert [(e.x, e.y) for e in read([file], wanted)] == [
        (("Ada", "#met", "#"), ("B-PER", "O", "O")),
        (("#Bob", "left"), ("B-PER", "O")),
    ]
    assert {what for _, what in told} == {"comment line, skipped"} and told[0][0] == 1


def test_the_first_line_does_not_decide(tmp_path):
    file = put(tmp_path / "a.conll", "EU\nrejects O\n\nGerman B-MISC\ncall O\n")
    assert message(file).startswith("1: 1 column in this line, 2 in most lines")
    assert found(file, ReadRequest(target="tags", skip_bad=1)) == [(("German", "call"), ("B-MISC", "O"), 4)]


def test_the_tag_that_means_none_in_conll_u_is_told(tmp_path):
    row = "{}\t{}\t{}\t{}\t_\t_\t_\t_\t_\t_\n"
    file = put(tmp_path / "a.conllu", row.format(1, "_", "_", "SYM") + row.format(2, "b", "b", "_") + "\n")
    told = []
    wanted = ReadRequest(target="tags", noted=lambda place, what: told.append((place.line, what)))
    ((x, y),) = [(e.x, e.y) for e in read([file], wanted)]
    assert x == ("_", "b") and y == ("SYM", "_")
    assert told == [(2, "tag '_' (CoNLL-U: no value) is read as a tag")]


def test_conll_is_known_by_its_content(tmp_path):
    conll_lines = "EU NNP B-ORG\nrejects VBZ O\n\nGerman JJ B-MISC\n"
    for name, text, any_tags, span_tags in (
        ("train.txt", conll_lines, True, True),
        ("tags.txt", "the DET\ncat NOUN\n\nit PRON\n", True, False),
        ("text.txt", "one line of text\nanother one\n", False, False),
        ("words.txt", "two words\ntwo words\n", True, False),
        ("u.txt", U + "\n" + U, True, True),
        ("table.tsv", "text\tlabel\nso good\tyes\n\nso bad\tno\n", True, False),
    ):
        file = put(tmp_path / name, text)
        assert conll.looks_like(file, ReadRequest(), False) == any_tags, name
        assert conll.looks_like(file, ReadRequest(), True) == span_tags, name


CONLL_U = """# newdoc
# sent_id = first
# text = vámonos al mar

1-2\tvámonos\t_\t_\t_\t_\t_\t_\t_\t_
1\tvamos\tir\tVERB\tV\t_\t0\troot\t_\t_
2\tnos\tnosotros\tPRON\tP\t_\t1\tobj\t_\t_
2.1\t(gap)\t_\tX\t_\t_\t_\t_\t_\t_
# said in between
3\t#\tal mar\tSYM\tS\t_\t1\tobl\t_\t_

# sent_id=  second one 
1\tSí\tsí\tINTJ\tI\t_\t0\troot\t_\t_

1\tNo\tno\tINTJ\tI\t_\t0\troot\t_\t_"""


def test_conll_u(tmp_path):
    file = put(tmp_path / "a.conllu", CONLL_U)
    examples = list(read([file], TAGS))
    assert [example.x for example in examples] == [("vamos", "nos", "#"), ("Sí",), ("No",)]
    assert [example.y for example in examples] == [("VERB", "PRON", "SYM"), ("INTJ",), ("INTJ",)]
    assert [example.place.line for example in examples] == [6, 13, 15]
    assert [example.id for example in examples] == ["first", "second one", None]
    for columns in ("y=deprel", "y=DEPREL", "y=8"):
        assert found(file, parse_columns(columns, TAGS))[0][1] == ("root", "obj", "obl")
    assert found(file, parse_columns("x=lemma,y=xpos", TAGS))[0][:2] == (
        ("ir", "nosotros", "al mar"),
        ("V", "P", "S"),
    )
    told = message(file, parse_columns("y=depre", TAGS))
    assert told.startswith("5: no column 'depre' in a file of 10") and told.endswith("try 'deprel'")
    zipped = put(
        tmp_path / "b.conllu.gz", gzip.compress(CONLL_U.replace("\t", " ").replace("al mar", "a").encode())
    )
    assert found(zipped) == found(file)


U = "1\ta\ta\tX\t_\t_\t_\t_\t_\t_\n"
FAULTS = {
    "empty": (b"", " empty file"),
    "white": (" \n\t\n\r\n", " no examples"),
    "marks only": ("-DOCSTART- -X- O O\n\n", " no examples"),
    "comments only": ("# a\n# b\n\n", None),
    "spaces for tabs": (
        "EU\tB\nrejects O\n",
        "2: 1 column in this line, 2 in most lines; expected 2; try tabs",
    ),
    "tab at the end": (
        "EU\tB\nrejects\tO\t\n",
        "2: 3 columns in this line, 2 in most lines; .*; try removing the tab",
    ),
    "three of ten": (U + "2\tb\tX\n", "2: 3 columns in this line, 10 in most lines"),
    "eleven": ("a b c d e f g h i j k\n", "1: 11 columns; expected at most 10"),
    "no token": ("EU\tB\n\tO\n", "2: an empty token; expected a token in column 1"),
    "no tag": ("EU\tB\nrejects\t\n", "2: an empty tag; expected a tag in column 2"),
    "no blank line": (U + U, "2: word number '1' in column 1; expected 2; try a blank line between"),
    "a word is missing": (U + U.replace("1", "3"), "2: word number '3' in column 1; expected 2"),
    "no number": (U + U.replace("1", "x"), "2: word number 'x' in column 1; expected 2"),
    "latin": (b"caf\xe9 O\n", "1: byte 0xe9 at offset 3 is not UTF-8"),
    "nul": (b"a O\nb\0 O\n", "2: NUL character"),
    "zip": (b"PK\x03\x04", " this is a ZIP archive"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_told(tmp_path, name):
    content, fault = FAULTS[name]
    file = put(tmp_path / "a.conll", content)
    if fault is None:  # comments of a file without sentences are tokens, for all that can be known
        assert found(file) == [(("#", "#"), ("a", "b"), 1)]
        return
    with pytest.raises(DataError, match=f"^{file}:{fault}"):
        list(read([file], TAGS))


def test_what_conll_files_do_not_hold(tmp_path):
    file = put(tmp_path / "a.conll", "EU B\n")
    assert "hold tokens, not numbers" in message(file, ReadRequest(kind="numbers", target="tags"))
    assert "a tag for each token, not a label" in message(file, ReadRequest(target="label"))
    assert "only the columns x and y" in message(file, ReadRequest(target="tags", by="s"))
    with pytest.raises(UsageError, match=r"no such file; try 'a\.conll'"):
        list(read([tmp_path / "b.conll"], TAGS))
    with pytest.raises(UsageError, match="is a folder"):
        list(read([tmp_path], TAGS))


def test_blank_lines_that_are_missing_do_not_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(conll, "LONGEST", 10)
    file = put(tmp_path / "a.conll", "\n" + "a O\n" * 10 + "\n" + "b O\n" * 11)
    assert message(file).startswith("13: a sentence over 10 tokens; expected a blank line between sentences")
    monkeypatch.setattr(records, "LONGEST", 100)
    assert message(put(file, "a" * 200 + " O")).startswith(
        "1: line too long; expected at most 100 characters"
    )


TOKEN = st.text(
    st.characters(exclude_characters="\t\r\n\0\ufeff", exclude_categories=("Cs",)), min_size=1, max_size=6
)
TOKEN = TOKEN.filter(lambda text: bool(text.strip(" ")))
SENTENCES = st.lists(st.lists(st.tuples(TOKEN, TOKEN), min_size=1, max_size=5), min_size=1, max_size=5)


@given(SENTENCES)
def test_what_is_written_is_read_again(tmp_path_factory, sentences):
    written, starts = [], []
    for sentence in sentences:
        starts.append(len(written) + 1)
        written += lines([token for token, _ in sentence], [tag for _, tag in sentence])
    file = put(tmp_path_factory.mktemp("conll") / "a.conll", "\n".join(written))
    assert found(file) == [
        (tuple(token for token, _ in sentence), tuple(tag for _, tag in sentence), start)
        for sentence, start in zip(sentences, starts, strict=True)
    ]


def test_what_cannot_be_written():
    assert list(lines(["#", "New York"], ["O", "B"])) == ["#\tO", "New York\tB", ""]
    assert list(lines([], [])) == [""]
    with pytest.raises(DataError, match="2 tokens and 1 tags"):
        list(lines(["a", "b"], ["O"]))
    for bad in ("", " ", "a\tb", "a\nb", "a\rb", "\0", "-DOCSTART-"):
        with pytest.raises(DataError, match="cannot be written to a CoNLL file"):
            list(lines([bad], ["O"]))
        with pytest.raises(DataError, match="cannot be written to a CoNLL file"):
            list(lines(["a"], [bad]))


@given(st.text(st.sampled_from("a1#-. \t\n"), max_size=60) | st.binary(max_size=40).map(repr))
def test_any_text_ends_in_sentences_or_an_error_of_ours(tmp_path_factory, content):
    file = put(tmp_path_factory.mktemp("any") / "a.conll", content)
    try:
        for example in read([file], ReadRequest()):
            assert example.x and (example.y is None or len(example.x) == len(example.y))
            assert all(example.x)
    except DataError as error:
        assert str(file) in str(error)


def test_wnut(data):
    folder = data / "tagging" / "wnut17"
    if not folder.is_dir():
        pytest.skip("no tagging/wnut17 in the data folder")
    counts = {}
    for name in ("wnut17train.conll", "emerging.dev.conll", "emerging.test.annotated"):
        examples = list(read([folder / name], TAGS))
        tags = [tag for example in examples for tag in example.y or ()]
        counts[name] = (len(examples), len(tags), sum(str(tag).startswith("B-") for tag in tags))
    assert counts == {
        "wnut17train.conll": (3394, 62730, 1975),
        "emerging.dev.conll": (1009, 15733, 836),
        "emerging.test.annotated": (1287, 23394, 1079),
    }


def test_ewt(data):
    file = data / "tagging" / "ud_english_ewt" / "dev.conllu.gz"
    if not file.exists():
        pytest.skip("no tagging/ud_english_ewt in the data folder")
    examples = list(read([file], TAGS))
    assert len(examples) == 2001 and sum(len(example.x) for example in examples) == 25147
    assert examples[0].x == ("From", "the", "AP", "comes", "this", "story", ":")
    assert examples[0].y == ("ADP", "DET", "PROPN", "VERB", "DET", "NOUN", "PUNCT")
    assert examples[0].place.line == 5 and (examples[0].id or "").endswith("-0001")
    assert len({tag for example in examples for tag in example.y or ()}) == 17
