import Testing
import WeirBase
import WeirFormat

/// A batch of one record, at byte 0 of its segment, whose extension is these bytes.
private func batch(extension sections: [UInt8]) throws -> [UInt8] {
    let place = BatchPlace(segment: home.segment, position: .zero)
    var made = builder([[1, 2, 3]])
    let plain = sealedBytes(&made, at: place)
    var header = try BatchHeader.decode(plain.span.bytes, at: place)
    header.extensionLength = sections.count
    header.extensionChecksum = sections.isEmpty ? 0 : crc32c(sections)
    var bytes = [UInt8](repeating: 0, count: header.storedByteCount)
    bytes.withUnsafeMutableBytes { buffer in
        if let base = buffer.baseAddress { header.encode(to: base, at: place) }
    }
    let body = plain[152..<152 + header.bodyLength]
    bytes.replaceSubrange(152..<header.bodyStart + header.bodyLength, with: sections + body)
    return bytes
}

private func encoded(_ type: UInt16, _ flags: UInt16, _ payload: [UInt8]) -> [UInt8] {
    var writer = ByteWriter()
    Section(type: type, flags: flags, payload: payload).encode(to: &writer)
    return writer.bytes
}

private func step(_ bytes: [UInt8]) -> SegmentScanner.Step {
    var scanner = SegmentScanner(segment: home.segment, position: .zero)
    return scanner.next(in: bytes.span.bytes)
}

private func isBatch(_ step: SegmentScanner.Step) -> Bool {
    if case .batch = step { return true }
    return false
}

@Suite("A batch's extension")
struct ExtensionTests {
    private let table = encoded(2, 1, [3, 0, 0, 0])
    private let unknown = encoded(77, 0, [1, 2, 3, 4, 5])

    @Test func `of known sections, of unknown ones, or of none, is passed`() throws {
        #expect(isBatch(step(try batch(extension: []))))
        #expect(isBatch(step(try batch(extension: table))))
        #expect(isBatch(step(try batch(extension: unknown + table))))
    }

    @Test func `with an unknown critical section is a newer version's`() throws {
        let bytes = try batch(extension: table + encoded(77, 1, [1]))
        var scanner = SegmentScanner(segment: home.segment, position: .zero)
        let found = scanner.next(in: bytes.span.bytes)
        #expect(found == .newer("a batch extension of type 77", at: .zero))
        #expect(scanner.position == .zero)
    }

    @Test func `whose sections do not fit costs its batch`() throws {
        let bytes = try batch(extension: unknown.setting(UInt32(9), at: 4))
        guard case .damage(let range, let lost?) = step(bytes) else {
            Issue.record("no damage was found")
            return
        }
        #expect(range == 0..<UInt64(bytes.count))
        #expect(lost.recordCount == 1)
        #expect(BatchExtension.examine(Array(unknown[..<12]).span.bytes) == .malformed)
        #expect(BatchExtension.examine(Array(unknown[..<5]).span.bytes) == .malformed)
    }

    @Test func `notices every flipped bit`() throws {
        let bytes = try batch(extension: unknown + table)
        for bit in 152 * 8..<(152 + unknown.count + table.count) * 8 {
            #expect(!isBatch(step(bytes.flipping(bit: bit))), "bit \(bit)")
        }
    }

    @Test func `tells the offsets of its records`() {
        let found = BatchExtension.offsetTable(in: (unknown + table).span.bytes)?.array()
        #expect(found == [3, 0, 0, 0])
        let none = BatchExtension.offsetTable(in: unknown.span.bytes)?.array()
        #expect(none == nil)
    }
}
