import random
import uuid

from raftnomad.identifiers import id_bytes, id_text, new_id, new_ids, short_id


def test_identifiers_are_random_uuids():
    ids = new_ids(1000)
    assert len(set(ids)) == 1000
    assert all(uuid.UUID(one).version == 4 and str(uuid.UUID(one)) == one for one in ids)


def test_a_seed_gives_the_same_identifiers_again():
    assert new_id(random.Random(7).randbytes) == new_id(random.Random(7).randbytes)


def test_packed_identifiers_unpack():
    one = new_id()
    assert len(id_bytes(one)) == 16
    assert id_text(id_bytes(one)) == one
    assert one.startswith(short_id(one))
