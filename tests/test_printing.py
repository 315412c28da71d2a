"""What is printed is in the file at once, and a file that cannot be written ends nothing by itself."""

import sys

from utils.printing import printed_to


def test_a_line_is_in_the_file_as_soon_as_it_is_printed_and_out_of_it_afterwards(tmp_path, capsys):
    path = tmp_path / "cout.txt"
    path.write_text("before\n")
    with printed_to(path, lambda why: None):
        print("one")
        assert path.read_text() == "before\none\n"
        print("two", file=sys.stderr)
        assert path.read_text() == "before\none\ntwo\n"
    print("three")
    assert path.read_text() == "before\none\ntwo\n"
    assert capsys.readouterr() == ("one\nthree\n", "two\n")


def test_a_file_that_cannot_be_written_is_told_and_printing_goes_on(tmp_path, capsys):
    told = []
    with printed_to(tmp_path / "nowhere" / "cout.txt", told.append):
        print("one")
    assert isinstance(told[0], OSError) and capsys.readouterr().out == "one\n"
