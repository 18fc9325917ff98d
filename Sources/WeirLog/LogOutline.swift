package import WeirBase
package import WeirFormat

/// A log's segments as its manifest has them, or would have them if the active one were sealed: for
/// whoever plans what goes of them.
package struct LogOutline: Sendable {
    package var entries: [SegmentEntry]
    /// Of all files.
    package var byteCount: UInt64
    /// The segment that is sealed in thought only, and what its footer would tell of producers.
    package var thought: (id: SegmentID, producers: [ProducerRow]?)?
}

extension LogWriter {
    package var outline: LogOutline {
        LogOutline(entries: manifest.state.segments, byteCount: view.byteCount)
    }

    /// What `sealActive` would leave, to the byte; nothing is sealed. By the leader. Finishes the
    /// rolls that are under way, as upkeep does.
    package func outlineOfSealed() throws(WeirError) -> LogOutline {
        if let poison { throw poison }
        try settle()
        var outline = outline
        let current =
            active.map { ($0.readable, $0.position, $0.isEmpty, $0.isResumed) }
            ?? asleep.map { ($0.readable, $0.position, $0.isEmpty, $0.isResumed) }
        if let (readable, end, isEmpty, isResumed) = current {
            guard !isEmpty, outline.entries.last?.id == readable.id else { return outline }
            let footer = try knownProducers(isResumed: isResumed)
                .footer(of: readable, manifest.state, view)
            let (bytes, checksum) = footer.encode(at: end)
            outline.entries[outline.entries.count - 1].sealed = SealedSegment(
                summary: footer.summary, batchesEnd: end,
                fileBytes: (end + bytes.count).value, footerChecksum: checksum)
            outline.byteCount += UInt64(bytes.count)
            outline.thought = (readable.id, footer.producers)
        } else if nextOffset == .zero {
            return outline
        }
        let (next, header) = nextSegment()
        outline.entries.append(next)
        outline.byteCount += UInt64(header.count)
        return outline
    }
}
