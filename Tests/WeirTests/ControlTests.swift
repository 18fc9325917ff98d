import Foundation
import Testing
import Weir
import WeirBase
import WeirFiles

/// A server of the test's own, in a folder that is no store, with one command of its own.
private struct Served {
    let folder: TemporaryFolder
    let files: RealFileSystem
    let server: ControlServer

    init(
        _ folder: TemporaryFolder = TemporaryFolder(), deadlineMilliseconds: Int = 60_000,
        connectionsMax: Int = 16
    ) throws {
        self.folder = folder
        files = try RealFileSystem.openRoot(folder.path, creating: true)
        let commands = ControlCommands()
        commands.register("echo") { (request: Echo) throws(WeirError) in
            if request.word == "no" { throw WeirError(.invalidArgument, "No is no word.") }
            return Word(word: request.word)
        }
        var settings = ControlServer.Settings()
        settings.deadlineMilliseconds = deadlineMilliseconds
        settings.connectionsMax = connectionsMax
        server = try ControlServer.start(
            in: files, at: "control", commands: commands, settings: settings)
    }

    func connect() throws -> LocalConnection { try LocalSocket.connect("control", in: files) }

    /// Nothing is left of it.
    func end() throws {
        try server.end()
        #expect(try !files.list("").contains("control"))
    }
}

private struct Echo: Codable {
    var command = "echo"
    var word: String
}
private struct Word: Codable {
    var word: String
}

extension LocalConnection {
    fileprivate func send(_ text: String) throws {
        _ = try writeAll(bytes(text), milliseconds: 10_000)
    }

    /// The next line; `nil` where there is none.
    fileprivate func line() throws -> String? {
        let found = try readLine(byteLimit: 16 << 20, milliseconds: 60_000)
        guard case .line(let line) = found else {
            #expect(found == .end)
            return nil
        }
        return text(line)
    }

    fileprivate func ask(_ text: String) throws -> String? {
        try send(text + "\n")
        return try line()
    }
}

@Suite("The control socket")
struct ControlTests {
    @Test func `answers several requests of a connection, in order`() throws {
        let served = try Served()
        let connection = try served.connect()
        #expect(try connection.ask(#"{"command":"echo","word":"a"}"#) == #"{"word":"a"}"#)
        try connection.send(
            #"{"command":"echo","word":"b"}"# + "\n" + #"{"command":"echo","word":"c","x":1}"#
                + "\n")
        #expect(try connection.line() == #"{"word":"b"}"#)
        #expect(try connection.line() == #"{"word":"c"}"#)
        try served.end()
        #expect(try connection.line() == nil)
    }

    @Test func `answers a line that comes in pieces`() throws {
        let served = try Served()
        let connection = try served.connect()
        for piece in [#"{"comm"#, #"and":"echo","#, #""word":"a"}"#] { try connection.send(piece) }
        try connection.send("\n")
        #expect(try connection.line() == #"{"word":"a"}"#)
        try served.end()
    }

    @Test(arguments: [
        ("", "not valid JSON"), ("hello", "not valid JSON"), ("[]", "it is no object"),
        ("{}", "the member command is missing"),
        (#"{"command":1}"#, "the member command has another type"),
        (#"{"command":"dance"}"#, "There is no command dance; this writer knows echo."),
        (#"{"command":"echo"}"#, "the member word is missing"),
        (#"{"command":"echo","word":"no"}"#, "No is no word."),
    ])
    func `tells in a sentence what is wrong`(request: String, reason: String) throws {
        let served = try Served()
        let connection = try served.connect()
        let answer = try #require(try connection.ask(request))
        #expect(answer.contains(#""error":""#) && answer.contains(reason), "\(answer)")
        // And goes on.
        #expect(try connection.ask(#"{"command":"echo","word":"a"}"#) == #"{"word":"a"}"#)
        try served.end()
    }

    @Test func `survives JSON that is nested without an end`() throws {
        let served = try Served()
        let connection = try served.connect()
        for (piece, count) in [("[", 60_000), (#"{"command":"#, 5_000), (#"{"a":["#, 10_000)] {
            let answer = try connection.ask(String(repeating: piece, count: count))
            #expect(answer?.contains("not valid JSON") == true)
        }
        try served.end()
    }

    @Test func `refuses a line that is too long, and closes`() throws {
        let served = try Served()
        let connection = try served.connect()
        try connection.send(String(repeating: "x", count: (64 << 10) + 1))
        #expect(try connection.line()?.contains("more than 65536 bytes") == true)
        #expect(try connection.line() == nil)
        try served.end()
    }

    @Test func `closes a connection that says nothing`() throws {
        let served = try Served(deadlineMilliseconds: 20)
        let connection = try served.connect()
        #expect(try connection.line() == nil)
        try served.end()
    }

    @Test func `turns away whoever comes when all connections are taken`() throws {
        let served = try Served(connectionsMax: 2)
        let first = try served.connect()
        let second = try served.connect()
        for connection in [first, second] {
            #expect(try connection.ask(#"{"command":"echo","word":"a"}"#) == #"{"word":"a"}"#)
        }
        let third = try served.connect()
        #expect(try third.line()?.contains("2 connections are open already") == true)
        #expect(try third.line() == nil)
        #expect(try first.ask(#"{"command":"echo","word":"b"}"#) == #"{"word":"b"}"#)
        try served.end()
    }

    @Test func `takes the next when one has gone`() throws {
        let served = try Served(connectionsMax: 1)
        for _ in 0..<20 {
            let connection = try served.connect()
            // The server notices soon that the one before has gone.
            guard let answer = try connection.ask(#"{"command":"echo","word":"a"}"#) else {
                continue
            }
            if answer.contains("word") { connection.close() }
        }
        try served.end()
    }

    @Test func `is the owner's alone`() throws {
        let served = try Served()
        let attributes = try FileManager.default.attributesOfItem(
            atPath: served.folder.path + "/control")
        #expect(attributes[.posixPermissions] as? Int == 0o600)
        #expect(attributes[.type] as? FileAttributeType == .typeSocket)
        try served.end()
    }

    @Test func `ends at once beside a connection that says nothing, and only once`() throws {
        let served = try Served()
        let silent = try served.connect()
        // Served by now; from here on it says nothing.
        _ = try silent.ask(#"{"command":"echo","word":"a"}"#)
        let start = ContinuousClock.now
        try served.end()
        #expect(ContinuousClock.now - start < .seconds(20))
        #expect(try silent.line() == nil)
        try served.server.end()
    }

    @Test func `leaves a name alone that means another socket by now`() throws {
        let served = try Served()
        try served.files.removeFile("control")
        let other = try LocalSocket.listen("control", in: served.files)
        try served.server.end()
        #expect(try served.files.list("") == ["control"])
        try other.close()
    }
}
