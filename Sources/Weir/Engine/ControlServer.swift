package import WeirBase
package import WeirFiles

/// Serves the control socket of a writing store.
///
///     accepting thread                       a thread for each connection
///     waits at the socket  ── connection ──> line → commands → line, again and again
///     (woken by `end`)                       (shut down by `end`; late after a deadline)
///
/// A thread for each, since a command may take long, and one that does must not keep others from
/// looking on. `end` waits for all of them: behind it no command touches the store any more.
package final class ControlServer: Sendable {
    package struct Settings: Sendable {
        package var connectionsMax = Limits.controlConnectionsMax
        package var deadlineMilliseconds = Limits.controlDeadlineMilliseconds

        package init() {}
    }

    private struct State {
        var connections: [UInt64: LocalConnection] = [:]
        var next: UInt64 = 0
        var isAccepting = true
        var isEnding = false
    }
    private let monitor = Monitor(State())
    private let listener: LocalListener
    private let commands: ControlCommands
    private let settings: Settings

    private init(listener: LocalListener, commands: ControlCommands, settings: Settings) {
        self.listener = listener
        self.commands = commands
        self.settings = settings
    }

    /// Makes the socket and serves it. The caller holds the store's lock.
    ///
    /// Throws `alreadyExists` where something that is no socket stands there, and what the system
    /// says; then nothing is left behind.
    package static func start(
        in files: RealFileSystem, at name: String, commands: ControlCommands,
        settings: Settings = Settings()
    ) throws(WeirError) -> ControlServer {
        let listener = try LocalSocket.listen(name, in: files)
        let server = ControlServer(listener: listener, commands: commands, settings: settings)
        do throws(WeirError) {
            try SystemThread.start { server.acceptAll() }
        } catch {
            try listener.close()
            throw error
        }
        return server
    }

    /// Ends the threads and takes the socket away; the second time does nothing.
    ///
    /// Waits for a command that runs, but not for ever: it may be the one that closes the store.
    package func end() throws(WeirError) {
        let connections = monitor.signal { state -> [LocalConnection]? in
            guard !state.isEnding else { return nil }
            state.isEnding = true
            return Array(state.connections.values)
        }
        guard let connections else { return }
        listener.wake()
        for connection in connections { connection.shutDown() }
        _ = monitor.wait(milliseconds: settings.deadlineMilliseconds) { state in
            state.isAccepting || !state.connections.isEmpty ? nil : true
        }
        try listener.close()
    }

    // MARK: threads

    private func acceptAll() {
        while true {
            do throws(WeirError) {
                guard let connection = try listener.accept() else { break }
                take(connection)
            } catch {
                // Too many open files, say: those who connect wait meanwhile. Ends with the store.
                let isEnding = monitor.wait(milliseconds: Self.pauseMilliseconds) { state in
                    state.isEnding ? true : nil
                }
                if isEnding == true { break }
            }
        }
        monitor.signal { $0.isAccepting = false }
    }

    private static let pauseMilliseconds = 100

    private func take(_ connection: LocalConnection) {
        do throws(WeirError) {
            try connection.expectSameUser(listener.path)
            let id = try admit(connection)
            do throws(WeirError) {
                try SystemThread.start { self.serve(connection, id) }
            } catch {
                monitor.signal { $0.connections[id] = nil }
                throw error
            }
        } catch {
            turnAway(connection, error)
        }
    }

    private func admit(_ connection: LocalConnection) throws(WeirError) -> UInt64 {
        let (id, isEnding) = monitor.signal { state -> (UInt64?, Bool) in
            guard !state.isEnding, state.connections.count < settings.connectionsMax else {
                return (nil, state.isEnding)
            }
            state.next += 1
            state.connections[state.next] = connection
            return (state.next, false)
        }
        if let id { return id }
        if isEnding { throw WeirError(.closed, "The store is being closed.") }
        throw WeirError(
            .wouldBlock,
            "\(settings.connectionsMax) connections are open already, and no more are taken; ask "
                + "again.")
    }

    /// Tells why, without waiting for anybody, and closes.
    private func turnAway(_ connection: LocalConnection, _ why: WeirError) {
        do throws(WeirError) {
            _ = try connection.writeAll(ControlCommands.refusal(why), milliseconds: 0)
        } catch {
            // Whoever it was is gone; the connection goes too.
            connection.shutDown()
        }
        connection.close()
    }

    private func serve(_ connection: LocalConnection, _ id: UInt64) {
        do throws(WeirError) {
            try answerAll(connection)
        } catch {
            // The connection is broken: there is nobody to tell.
            connection.shutDown()
        }
        connection.close()
        monitor.signal { $0.connections[id] = nil }
    }

    private func answerAll(_ connection: LocalConnection) throws(WeirError) {
        while true {
            let found = try connection.readLine(
                byteLimit: Limits.controlRequestBytesMax,
                milliseconds: settings.deadlineMilliseconds)
            switch found {
            case .line(let line):
                let answer = commands.answer(line)
                let isTaken = try connection.writeAll(
                    answer, milliseconds: settings.deadlineMilliseconds)
                guard isTaken else { return }
            case .tooLong:
                // Where the next line begins is not known, so this is the last one.
                let error = WeirError(
                    .tooLarge,
                    "The line has more than \(Limits.controlRequestBytesMax) bytes; expected a "
                        + "request of one short line.")
                _ = try connection.writeAll(
                    ControlCommands.refusal(error), milliseconds: settings.deadlineMilliseconds)
                return
            case .end, .late: return
            }
        }
    }
}
