public import WeirBase
public import WeirFormat

/// Records on their way into a stream: filled without a lock, written and made durable as one.
///
/// ```swift
/// var batch = Batch()
/// for line in lines where !batch.append(value: line.utf8.span.bytes) {
///     try await orders.append(&batch)          // full: empties it and keeps its memory
///     _ = batch.append(value: line.utf8.span.bytes)
/// }
/// try await orders.append(&batch)
/// ```
///
/// Appending a record takes no memory once the batch has grown, no lock and no reference count.
public struct Batch: ~Copyable, Sendable {
    @usableFromInline package var builder: BatchBuilder

    /// An empty batch for at most so many bytes, which is what a stream takes by default.
    public init(byteLimit: Int = Limits.batchBytesDefault) {
        builder = BatchBuilder(byteLimit: byteLimit)
    }

    public var recordCount: Int { builder.recordCount }
    public var isEmpty: Bool { builder.isEmpty }
    /// Bytes as they count against the stream's batch limit and a consumer's credit.
    public var byteCount: Int { builder.bodyByteCount }

    /// Forgets the records and keeps the memory.
    public mutating func removeAll() { builder.removeAll() }

    /// Adds a record that is only a value: the fast path. `false` if the batch is full.
    @inlinable
    public mutating func append(value: RawSpan) -> Bool { builder.append(value: value) }

    /// Adds a record that is only a value. `false` if the batch is full.
    @inlinable
    public mutating func append(value: [UInt8]) -> Bool {
        unsafe builder.append(value: value.span.bytes)
    }

    /// Adds a record with a key, a time, headers; `value == nil` is a tombstone and needs a key.
    ///
    /// `headers` may be called twice and must add the same headers each time. Returns `false` if
    /// the batch is full, and is then as it was. Throws `tooLarge` for a key or headers over their
    /// limits, `invalidArgument` for a tombstone without a key or a header without a name.
    @inlinable
    public mutating func append(
        key: RawSpan?, time: Timestamp? = nil, value: RawSpan?,
        headers: (inout HeaderWriter) -> Void = { _ in }
    ) throws(WeirError) -> Bool {
        try builder.append(key: key, time: time, value: value) { encoder in
            var writer = HeaderWriter(encoder)
            headers(&writer)
            encoder = writer.take()
        }
    }

    /// The same with arrays and a list of headers: convenient, and as fast as making those is.
    public mutating func append(
        key: [UInt8]? = nil, headers: Headers = [:], time: Timestamp? = nil, value: [UInt8]?
    ) throws(WeirError) -> Bool {
        // An optional span cannot be made of an optional array in one expression.
        switch (key, value) {
        case (let key?, let value?):
            unsafe try append(key: key.span.bytes, time: time, value: value.span.bytes) {
                headers.write(to: &$0)
            }
        case (let key?, nil):
            unsafe try append(key: key.span.bytes, time: time, value: nil) {
                headers.write(to: &$0)
            }
        case (nil, let value?):
            unsafe try append(key: nil, time: time, value: value.span.bytes) {
                headers.write(to: &$0)
            }
        case (nil, nil):
            try append(key: nil, time: time, value: nil) { headers.write(to: &$0) }
        }
    }

    /// Adds an entry as it is: a whole AMQP message of any shape, or any bytes as a raw record.
    public mutating func append(entry: RawSpan) -> Bool { builder.append(entry: entry) }
}

/// Adds a record's headers where they will be written, without taking memory.
public struct HeaderWriter: ~Copyable {
    @usableFromInline var encoder: HeaderEncoder

    @usableFromInline init(_ encoder: consuming HeaderEncoder) { self.encoder = encoder }
    @usableFromInline consuming func take() -> HeaderEncoder { encoder }

    public mutating func add(_ name: String, _ value: HeaderValue) { encoder.add(name, value) }
    public mutating func add(_ name: String, _ text: String) { encoder.add(name, text) }
    public mutating func add(_ name: String, _ number: Int64) { encoder.add(name, number) }
    /// A value that stands in memory as UTF-8 already.
    public mutating func add(_ name: String, utf8: RawSpan) { encoder.add(name, utf8: utf8) }
}

/// A record's headers as a list: names may repeat, and their order is kept.
public struct Headers: Sendable, Hashable, ExpressibleByDictionaryLiteral, RandomAccessCollection,
    CustomStringConvertible
{
    public typealias Element = (name: String, value: HeaderValue)
    private struct Pair: Sendable, Hashable {
        var name: String
        var value: HeaderValue
    }
    private var pairs: [Pair]

    public init() { pairs = [] }
    public init(dictionaryLiteral elements: (String, HeaderValue)...) {
        pairs = elements.map { Pair(name: $0.0, value: $0.1) }
    }

    public var startIndex: Int { 0 }
    public var endIndex: Int { pairs.count }
    public subscript(position: Int) -> (name: String, value: HeaderValue) {
        (pairs[position].name, pairs[position].value)
    }

    /// The first value of a name.
    public subscript(name: String) -> HeaderValue? { pairs.first { $0.name == name }?.value }

    public mutating func append(_ name: String, _ value: HeaderValue) {
        pairs.append(Pair(name: name, value: value))
    }

    public var description: String {
        "[" + pairs.map { "\($0.name): \($0.value)" }.joined(separator: ", ") + "]"
    }

    func write(to writer: inout HeaderWriter) {
        for pair in pairs { writer.add(pair.name, pair.value) }
    }
}
