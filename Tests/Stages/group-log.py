"""What `weir-flow-soak group` said through all its lives, held against what groups promise.

    group-log.py LOG PARTITIONS RECORDS      that many records in each partition

Every record is processed; nothing is passed over, whoever goes on; and what is delivered again lies
behind the last commit that was acknowledged. A line `life` begins each life.
"""
import sys


class Partition:
    def __init__(self):
        self.done = set()       # offsets that were processed
        self.committed = 0      # the last commit that was acknowledged
        self.begun = set()      # commits that were begun since: a kill may have come behind them
        self.next = None        # in this life
        self.doing = 0
        self.members = set()


def main(path, count, records):
    partitions = [Partition() for _ in range(count)]
    lives = repeats = cut = unknown = 0
    for line in open(path):
        words = line.split()
        if words == ["life"]:
            lives += 1
            unknown += sum(bool(partition.begun) for partition in partitions)
            cut += sum(partition.doing != (partition.next or 0) for partition in partitions)
            for partition in partitions:
                partition.next = None
                partition.doing = 0
        elif words[0] == "got":
            member, first, end = words[1], int(words[3]), int(words[4])
            partition = partitions[int(words[2])]
            known = {partition.committed} | partition.begun
            assert first in known or first == partition.next, (
                f"{line.strip()}: it went on at {first}; expected {partition.next} or {known}")
            if partition.next is None and first > partition.committed:
                partition.committed = first     # that commit was durable, and nobody was told
            partition.begun = {end for end in partition.begun if end > partition.committed}
            partition.next, partition.doing = end, first
            partition.members.add(member)
        elif words[0] == "did":
            partition, offset = partitions[int(words[1])], int(words[2])
            assert offset == partition.doing, f"{line.strip()}: expected {partition.doing}"
            assert offset >= partition.committed, f"{line.strip()}: it is committed already"
            repeats += offset in partition.done
            partition.done.add(offset)
            partition.doing += 1
        elif words[0] == "commits":
            partitions[int(words[1])].begun.add(int(words[2]))
        elif words[0] == "committed":
            partition, end = partitions[int(words[1])], int(words[2])
            missing = set(range(end)) - partition.done
            assert not missing, f"{line.strip()}: {sorted(missing)[:5]} were never processed"
            partition.committed = end
            partition.begun = {other for other in partition.begun if other > end}
    for number, partition in enumerate(partitions):
        ends = {partition.committed} | partition.begun
        assert records in ends, f"partition {number} ends at {ends}"
        assert partition.done == set(range(records)), f"partition {number} lacks records"
    assert lives < 3 or repeats and cut, "no kill came in the middle of a batch"
    owners = max(len(partition.members) for partition in partitions)
    print(f"{lives} lives, {repeats} records delivered again, {cut} batches cut, "
          f"{unknown} commits that nobody was told of, {owners} members of a partition")


main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
