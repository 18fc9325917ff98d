import Testing
import WeirBase
import WeirFormat
import WeirTesting

/// A structure that stands for itself in bytes: how it is refused, and what it does not look at.
struct Structure: Sendable, CustomTestStringConvertible {
    let name: String
    let bytes: [UInt8]
    /// Bits that no checksum covers.
    var careless: Range<Int> = 0..<0
    /// `nil` if it holds, else the error's code.
    let decode: @Sendable ([UInt8]) -> WeirError.Code?
    var testDescription: String { name }

    static func all() throws -> [Structure] {
        [try segmentHeader(), try footer(), storeHeader, epoch, try edit(), try slot()]
    }

    static func segmentHeader() throws -> Structure {
        var header = try Golden.header(SegmentID(3), base: Offset(9), epoch: 2)
        header.replaced = [SegmentID(1), SegmentID(2)]
        header.epochStarts = [EpochStart(epoch: Epoch(3), offset: Offset(9))]
        let bytes = header.encode()
        let length = 192 + 24 + 24
        return Structure(name: "segment header", bytes: bytes, careless: length..<bytes.count) {
            found in code { () throws(WeirError) in _ = try SegmentHeader.decode(found) }
        }
    }

    static func footer() throws -> Structure {
        var maker = SegmentMaker()
        for _ in 0..<3 { maker.add(values: [[1], [2, 3]]) }
        var footer = maker.footer()
        footer.producers = [.init(name: "p", lastPublishingID: 1, offset: Offset(1))]
        let (bytes, id, position) = (
            footer.encode(at: maker.position).bytes, footer.segmentID, maker.position
        )
        return Structure(name: "footer", bytes: bytes) { found in
            code { () throws(WeirError) in
                _ = try SegmentFooter.decode(found, segment: id, at: position)
            }
        }
    }

    static let storeHeader = Structure(name: "store header", bytes: Golden.storeHeader) { found in
        code { () throws(WeirError) in _ = try StoreHeader.decode(found) }
    }

    static let epoch = Structure(name: "epoch", bytes: Array(Golden.epochs.prefix(64))) { found in
        EpochRecord.decodeAll(found).records.isEmpty ? .damaged : nil
    }

    static func edit() throws -> Structure {
        let sealed = try Parts().sealed
        let edit = ManifestEdit.several([
            .segmentSealed(SegmentID(1), sealed),
            .segmentAdded(SegmentEntry(id: SegmentID(2), base: Offset(3), epoch: Epoch(4))),
        ])
        return Structure(name: "edit", bytes: edit.encode(sequence: 7, previous: 8).bytes) {
            found in code { () throws(WeirError) in _ = try ManifestEdit.decode(found[...]) }
        }
    }

    /// Generation, reserved word and futex word are outside the checksum.
    static func slot() throws -> Structure {
        let bytes = Array(try Parts().tail[64..<128])
        return Structure(name: "tail slot", bytes: bytes, careless: 48..<64) { found in
            guard found.count >= 64 else { return .damaged }
            return TailSlot.decode(found.span.bytes) == .torn ? .damaged : nil
        }
    }
}

@Suite("A structure with one defect")
struct DefectTests {
    @Test(arguments: try Structure.all())
    func `holds without it`(_ structure: Structure) {
        #expect(structure.decode(structure.bytes) == nil)
    }

    @Test(arguments: try Structure.all())
    func `is damaged by every flipped bit that counts`(_ structure: Structure) {
        let isSlot = structure.name == "tail slot"
        for bit in 0..<structure.bytes.count * 8 {
            let found = structure.decode(structure.bytes.flipping(bit: bit))
            // The slot's checksum itself stands between bytes that are not looked at.
            let counts = !structure.careless.contains(bit / 8) || isSlot && bit / 8 / 4 == 13
            #expect((found == .damaged) == counts, "bit \(bit): \(String(describing: found))")
        }
    }

    @Test(arguments: try Structure.all())
    func `is refused when it is cut anywhere`(_ structure: Structure) {
        let needed =
            structure.name == "tail slot" || structure.careless.isEmpty
            ? structure.bytes.count : structure.careless.lowerBound
        for count in 0..<needed {
            let found = structure.decode(Array(structure.bytes.prefix(count)))
            #expect(found == .damaged, "\(count) bytes")
        }
    }

    @Test(arguments: try Structure.all())
    func `never traps on random bytes`(_ structure: Structure) {
        var random = SeededRandom(seed: 20)
        for _ in 0..<50_000 {
            var bytes = structure.bytes
            for _ in 0...random.below(4) {
                bytes[random.below(bytes.count)] = UInt8(truncatingIfNeeded: random.next())
            }
            if random.oneIn(4) { bytes.removeLast(random.below(bytes.count)) }
            _ = structure.decode(bytes)
        }
    }

    @Test(arguments: try Structure.all())
    func `never traps on bytes that only seem to hold`(_ structure: Structure) {
        var random = SeededRandom(seed: 21)
        for _ in 0..<50_000 {
            var bytes = structure.bytes
            for _ in 0...random.below(3) {
                let place = random.below(bytes.count)
                let extreme: [UInt8] = [0, 1, 0x7F, 0x80, 0xFF]
                let run = min(1 << random.below(4), bytes.count - place)
                let byte = extreme[random.below(extreme.count)]
                for index in place..<place + run { bytes[index] = byte }
            }
            _ = structure.decode(structure.resealed(bytes))
        }
    }
}

extension Structure {
    /// The bytes with a checksum that holds, so that what lies behind it is reached.
    fileprivate func resealed(_ bytes: [UInt8]) -> [UInt8] {
        var sealed = bytes
        func set(_ checksum: UInt32, at place: Int) {
            for index in 0..<4 {
                sealed[place + index] = UInt8(truncatingIfNeeded: checksum >> (8 * index))
            }
        }
        func word(_ place: Int) -> Int {
            (0..<4).reduce(0) { $0 | Int(bytes[place + $1]) << (8 * $1) }
        }
        switch name {
        case "segment header":
            let length = min(max(word(12), 88), bytes.count)
            set(crc32c(bytes[12..<length], seed: crc32c(bytes[0..<8])), at: 8)
        case "edit":
            let length = min(max(word(0), 32), bytes.count)
            set(crc32c(bytes[8..<length], seed: crc32c(bytes[0..<4])), at: 4)
        case "footer":
            var place = ByteWriter()
            place.put(SegmentID(0xABCD))
            place.put(SegmentFooterPlace.position)
            let end = bytes.count
            let head = crc32c(bytes[..<(end - 12)], seed: crc32c(place.bytes))
            set(crc32c(bytes[(end - 8)...], seed: head), at: end - 12)
        case "tail slot": set(crc32c(bytes[..<48]), at: 52)
        default: set(crc32c(bytes[..<60]), at: 60)
        }
        return sealed
    }
}

/// Where the footer of `Structure.footer` stands.
private enum SegmentFooterPlace {
    static var position: FilePosition {
        var maker = SegmentMaker()
        for _ in 0..<3 { maker.add(values: [[1], [2, 3]]) }
        return maker.position
    }
}
