import Glibc
import Synchronization
import Testing

@testable import Platform

@Suite(.timeLimit(.minutes(10))) struct EventLoopTests {
    @Test func postedWorkRunsInOrderOnTheLoop() throws {
        let loop = try EventLoop()
        let order = Mutex<[Int]>([])
        #expect(!loop.isOnLoop)
        let thread = try Thread.start(name: "poster") {
            for number in 0..<1000 {
                loop.post { order.withLock { $0.append(loop.isOnLoop ? number : -1) } }
            }
            loop.post { loop.stop() }
        }
        loop.run()
        thread.join()
        #expect(order.withLock { $0 } == Array(0..<1000))
        #expect(!loop.isOnLoop)
    }

    @Test func aStopBeforeTheRunEndsItAtOnceAndOnlyOnce() throws {
        let loop = try EventLoop()
        loop.stop()
        loop.run()
        var fired = false
        _ = loop.after(nanoseconds: 0) {
            fired = true
            loop.stop()
        }
        loop.run()
        #expect(fired)
    }

    @Test func timersFireInOrderUnlessTheyAreCancelled() throws {
        let loop = try EventLoop()
        var fired: [String] = []
        _ = loop.after(nanoseconds: 20_000_000) { loop.stop() }
        let cancelled = loop.after(nanoseconds: 2_000_000) { fired.append("cancelled") }
        _ = loop.after(nanoseconds: 3_000_000) { fired.append("second") }
        _ = loop.after(nanoseconds: 1_000_000) {
            fired.append("first")
            loop.cancel(cancelled)
        }
        _ = loop.after(nanoseconds: .max) { fired.append("never") }
        loop.run()
        #expect(fired == ["first", "second"])
    }

    @Test func endOfTurnWorkRunsAfterAllHandlersOfTheTurn() throws {
        let loop = try EventLoop()
        let order = Mutex<[String]>([])
        loop.post {
            loop.atEndOfTurn { order.withLock { $0.append("end") } }
            order.withLock { $0.append("a") }
        }
        loop.post { order.withLock { $0.append("b") } }
        loop.post { loop.stop() }
        loop.run()
        #expect(order.withLock { $0 } == ["a", "b", "end"])
    }

    @Test func anEventThatWasReadAlreadyNeverReachesARemovedWatchOrAReusedDescriptor() throws {
        let loop = try EventLoop()
        // Both sockets become readable before the loop runs, so both events are read in one turn.
        var pairs = [try OpenPair(), try OpenPair()]
        for pair in pairs { pair.poke() }
        var calls: [Int] = []
        var watches: [EventLoop.WatchID] = []
        var replacement: EventLoop.WatchID?
        for index in 0...1 {
            let id = try loop.watch(pairs[index].near, .readable) { _ in
                calls.append(index)
                let other = 1 - index
                guard replacement == nil else { return }
                // The other one goes away and its number is used again for a socket with nothing to read.
                loop.unwatch(watches[other])
                let number = pairs[other].near
                guard let silent = try? OpenPair() else { return }
                #expect(dup2(silent.near, number) == number)
                pairs.append(silent)
                replacement = try? loop.watch(number, .readable) { _ in calls.append(2) }
                loop.unwatch(watches[index])
                _ = loop.after(nanoseconds: 5_000_000) { loop.stop() }
            }
            watches.append(id)
        }
        loop.run()
        #expect(calls.count == 1, "calls: \(calls)")
        #expect(replacement != nil)
    }

    @Test func theOtherEndsClosingIsReportedWithoutAnyInterest() throws {
        let loop = try EventLoop()
        let pair = try OpenPair()
        var seen: EventLoop.Readiness = []
        _ = try loop.watch(pair.near, []) { readiness in
            seen = readiness
            loop.stop()
        }
        shutdown(pair.far, Int32(SHUT_WR))
        loop.run()
        #expect(seen.contains(.peerClosed))
        #expect(!seen.contains(.readable))
    }

    @Test func changingTheInterestChangesWhatIsReported() throws {
        let loop = try EventLoop()
        let pair = try OpenPair()
        pair.poke()
        var seen: [EventLoop.Readiness] = []
        var watch: EventLoop.WatchID?
        watch = try loop.watch(pair.near, .writable) { readiness in
            seen.append(readiness)
            if seen.count == 1, let watch { loop.change(watch, .readable) } else { loop.stop() }
        }
        loop.run()
        #expect(seen == [.writable, .readable])
    }

    @Test func aDescriptorThatIsWatchedTwiceOrNotOpenIsRefused() throws {
        let loop = try EventLoop()
        let pair = try OpenPair()
        let first = try loop.watch(pair.near, .readable) { _ in loop.stop() }
        #expect(throws: SystemError.self) { try loop.watch(pair.near, .readable) { _ in } }
        #expect(throws: SystemError.self) { try loop.watch(-1, .readable) { _ in } }
        // The refused second watch has not disturbed the first one.
        pair.poke()
        loop.run()
        loop.unwatch(first)
        _ = try loop.watch(pair.near, .readable) { _ in }
    }
}

/// Two connected sockets that close with the object: easier to hold in arrays and closures than owning descriptors.
final class OpenPair {
    let near: Int32
    let far: Int32

    init() throws {
        let pair = try Socket.pair()
        near = pair.first.release()
        far = pair.second.release()
    }

    deinit {
        close(near)
        close(far)
    }

    func poke() { _ = write(far, "x", 1) }
}
