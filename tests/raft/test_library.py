import os
import pickle
import random
import shutil

import pysyncobj
import pysyncobj.syncobj
import pytest

from raftnomad import errors
from raftnomad.raft import library


def a_copy() -> object:
    return library.load_copy(journal=None, monotonic_s=lambda: 1.0, chance=random.Random(1))


def test_each_server_has_a_copy_of_its_own_and_the_installed_module_stays_as_it_is() -> None:
    before = dict(vars(pysyncobj.syncobj))
    one, other = a_copy(), a_copy()
    assert one is not other
    assert one is not pysyncobj.syncobj
    assert vars(pysyncobj.syncobj) == before
    assert pysyncobj.syncobj.pickle.loads(pickle.dumps(1)) == 1


def test_pickle_and_files_are_out_of_the_copys_reach() -> None:
    copy = a_copy()
    for name in ("pickle", "os", "time"):
        with pytest.raises(AssertionError, match=f"reached for {name}"):
            getattr(copy, name).loads  # noqa: B018


def test_a_changed_file_of_pysyncobj_is_refused_by_name(tmp_path: os.PathLike[str]) -> None:
    directory = os.path.join(tmp_path, "pysyncobj")
    shutil.copytree(os.path.dirname(pysyncobj.__file__), directory)
    library.check_files(directory)
    library.check_files.cache_clear()
    with open(os.path.join(directory, "journal.py"), "a") as file:
        file.write("\n# changed\n")
    with pytest.raises(errors.ConfigurationError, match=r"journal\.py is not that of pysyncobj 0\.3\.17"):
        library.check_files(directory)
    os.unlink(os.path.join(directory, "node.py"))
    os.unlink(os.path.join(directory, "journal.py"))
    with pytest.raises(errors.ConfigurationError, match="incomplete"):
        library.check_files(directory)
