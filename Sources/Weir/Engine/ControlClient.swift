import WeirBase
import WeirFiles
import WeirFormat

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Asks the writer of a store, another process as a rule. Blocks the thread.
struct ControlClient {
    let path: String
    private let files: RealFileSystem

    /// Throws `notFound` or `invalidArgument` where there is no store.
    init(path: String) throws(WeirError) {
        self.path = path
        do throws(WeirError) {
            files = try RealFileSystem.openRoot(path, creating: false)
            _ = try StoreDirectory.readHeader(files: files)
        } catch {
            guard error.code == .notFound else { throw error.located(.init(path: path)) }
            throw WeirError(
                .notFound, "There is no store at \(path); check the path.", errno: error.errno)
        }
    }

    /// Whether a process has the store open for writing at this moment.
    func hasWriter() throws(WeirError) -> Bool { try LockKeeper.isHeld(files: files) }

    /// The answer to one request; an error that the writer tells is thrown as it is told.
    func ask<Answer: Decodable>(
        _ request: some Encodable, for type: Answer.Type
    ) throws(WeirError) -> Answer {
        let connection = try connect()
        defer { connection.close() }
        let line = Array(try ControlCommands.encode(request)) + [UInt8(ascii: "\n")]
        let deadline = Limits.controlDeadlineMilliseconds
        // Who is turned away cannot send, and finds the reason all the same.
        _ = try connection.writeAll(line, milliseconds: deadline)
        let found = try connection.readLine(
            byteLimit: Limits.controlAnswerBytesMax, milliseconds: deadline)
        switch found {
        case .line(let line): return try read(Data(line), type)
        case .tooLong:
            throw WeirError(
                .tooLarge,
                "The writer's answer has more than \(Limits.controlAnswerBytesMax) bytes; ask for "
                    + "one stream.")
        case .end:
            throw WeirError(
                .closed,
                "The writer of the store at \(path) closed before it answered; ask again if the "
                    + "store is to be open still.")
        case .late:
            throw WeirError(
                .wouldBlock,
                "The writer of the store at \(path)\(holder()) has not answered for "
                    + "\(deadline / 1000) seconds; see whether it was stopped, or ask again.")
        }
    }

    private func read<Answer: Decodable>(
        _ line: Data, _ type: Answer.Type
    ) throws(WeirError) -> Answer {
        do throws(WeirError) {
            let refusal = try ControlCommands.decode(ControlCommands.Refusal.self, line)
            if let told = refusal.error {
                throw WeirError(WeirError.Code(refusal.code ?? "system"), told)
            }
            return try ControlCommands.decode(type, line)
        } catch {
            guard error.code == .malformedInput else { throw error }
            throw WeirError(
                .newerFormat,
                "The writer of the store at \(path)\(holder()) answers in words that this program "
                    + "does not know; use programs of one version.", cause: error.message)
        }
    }

    private func connect() throws(WeirError) -> LocalConnection {
        do throws(WeirError) {
            return try LocalSocket.connect(StoreLayout.control, in: files)
        } catch {
            // Whatever is wrong with the socket, without a writer that is what to tell.
            guard try LockKeeper.isHeld(files: files) else {
                throw WeirError(
                    .notFound,
                    "No writer has the store at \(path) open, so nobody answers; start the "
                        + "program that writes to it, and ask again.")
            }
            guard error.code == .notFound else { throw error }
            throw WeirError(
                .notFound,
                "The store at \(path) is open for writing\(holder()), which serves no socket "
                    + "`\(StoreLayout.control)`: it is opening or closing the store, or could not "
                    + "make the socket and said why; ask again, or see what it said.")
        }
    }

    /// ` by process 12 …`, as far as it can be told.
    private func holder() -> String {
        do throws(WeirError) {
            let file = try files.open(StoreLayout.lock, .read)
            let note = try LockKeeper.read(files: files, file: file)
            try files.close(file)
            return note.map { " by " + $0.description } ?? ""
        } catch {
            return ""
        }
    }
}
