import WeirBase
import WeirFormat

extension Golden {
    /// A segment with batches of named producers, one of nobody between them, and a footer that
    /// knows of one more producer from the segments before.
    static func producers() throws -> [UInt8] {
        var maker = SegmentMaker(
            try header(SegmentID(0x5705_0000_0000_0005), base: Offset(100), epoch: 3),
            appendTime: time(300))
        var table = ProducerTable([row("before", 3, 99)])
        func add(_ values: [String], _ rows: [ProducerRow]) {
            var batch = builder(values.map { Array($0.utf8) })
            let sections = rows.isEmpty ? [] : BatchExtension.encode(producers: rows)
            maker.add(&batch, extension: sections)
            for row in rows { table.note(row) }
        }
        add(["one", "two", "three"], [row("loader", 11, 101)])
        add(["many", "hands", "light work"], [row("zähler", .max, 103), row("x", 0, 104)])
        add(["of nobody"], [])
        add(["four"], [row("loader", 12, 107)])
        var footer = maker.footer()
        footer.producers = table.rows
        return maker.sealed(footer).bytes
    }

    private static func row(_ name: ProducerName, _ id: UInt64, _ offset: UInt64) -> ProducerRow {
        ProducerRow(name: name, lastPublishingID: id, offset: Offset(offset))
    }
}
