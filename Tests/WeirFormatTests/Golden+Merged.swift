import WeirBase
import WeirFormat

extension Golden {
    /// Three segments of the epochs 4, 5 and 7 that compaction made one: power failed in epoch 4,
    /// and epoch 7 gave offset 203 anew. Epoch 6 left nothing.
    static func merged() throws -> [UInt8] {
        var header = try header(SegmentID(0x5706_0000_0000_0006), base: Offset(200), epoch: 4)
        header.generation = 1
        header.replaced = [SegmentID(0xA), SegmentID(0xB), SegmentID(0xC)]
        header.epochStarts = [
            EpochStart(epoch: Epoch(5), offset: Offset(202)),
            EpochStart(epoch: Epoch(7), offset: Offset(203)),
        ]
        var maker = SegmentMaker(header, appendTime: time(400))
        maker.add(values: [Array("of epoch 4".utf8), Array("too".utf8)])
        maker.epoch = Epoch(5)
        maker.add(values: [Array("of epoch 5".utf8)])
        maker.epoch = Epoch(7)
        maker.add(values: [Array("of epoch 7".utf8)])
        return maker.sealed(maker.footer()).bytes
    }

    /// Where the second start stands: behind the fields, the name, the settings and the ids.
    static let mergedStartPlace = 192 + 8 + 24 + 8 + 16
}
