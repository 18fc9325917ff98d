import WeirBase

/// Is told what an append waits for, and says whether it goes on waiting.
typealias WaitingWatch = @Sendable (String) -> Bool

/// Threads whose appends wait at the gate or at a quota, and somebody who may end that.
extension Committer {
    /// Asks now and then whether to go on waiting. Whoever was admitted meanwhile is under way.
    func watched(_ wait: GateWait, _ goesOn: WaitingWatch) -> GateOutcome {
        while true {
            if let outcome = wait.slot.wait(milliseconds: Self.watchMilliseconds) {
                return outcome
            }
            if goesOn(reason(of: wait.place)) { continue }
            leave(wait.place, .cancelled)
            return wait.slot.wait()
        }
    }

    private static let watchMilliseconds = 100

    /// What an append waits for, and what lets it go on, for a person.
    private func reason(of place: GateWait.Place) -> String {
        guard case .quota = place else { return "In the stream \(name) \(gateState())." }
        let (found, advice) = fullness()
        return "\(found). \(advice)"
    }
}
