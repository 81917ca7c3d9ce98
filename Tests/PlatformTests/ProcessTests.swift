import Foundation
import Platform
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(10))) struct ChildProcessTests {
    /// Runs a shell command with its output in a socket; returns the output and the end.
    private func shell(
        _ command: String, environment: [String] = [], extra: [(parent: Int32, child: Int32)] = []
    ) throws -> (String, ChildProcess.Exit) {
        let pair = try Socket.pair()
        let far = pair.second.release()
        let child = try ChildProcess.spawn(
            executable: "/bin/sh", arguments: ["sh", "-c", command], environment: environment,
            descriptors: [(parent: far, child: 1)] + extra)
        close(far)
        let output = try StandardIO.readAll(pair.first.rawValue, limit: 1 << 20)
        return (String(decoding: output, as: UTF8.self), try child.wait())
    }

    @Test func aChildGetsItsArgumentsAndItsEnvironmentOnly() throws {
        let (output, exit) = try shell("echo \"$NAME\"; echo ${HOME:-none}; exit 7", environment: ["NAME=a b"])
        #expect(output == "a b\nnone\n")
        #expect(exit == .status(7))
    }

    @Test func aChildHasOnlyTheDescriptorsThatItWasGiven() throws {
        // Open here without close-on-exec: only the explicit closing keeps it from the child.
        let leak = open("/dev/null", O_RDONLY)
        defer { close(leak) }
        let pair = try Socket.pair()
        // The numbers cross over: what is sent as 3 may stand where 5 is expected and the other way round.
        let first = pair.first.rawValue
        let (output, _) = try shell(
            "n=0; while [ $n -lt 100 ]; do readlink /proc/self/fd/$n | sed s/^/$n\\ /; n=$((n+1)); done",
            extra: [(parent: first, child: 5), (parent: leak, child: 3)])
        let lines = output.split(separator: "\n")
        let numbers = lines.compactMap { $0.split(separator: " ").first }
        #expect(numbers == ["0", "1", "2", "3", "5"], "\(output)")
        try #require(lines.count == 5)
        // readlink's own output is the pipe to sed; the rest is what the shell was given.
        for index in [0, 2, 3] { #expect(lines[index].hasSuffix(" /dev/null")) }
        #expect(lines[4].contains("socket"))
    }

    @Test func parentNumbersThatAreChildNumbersOfOthersDoNotMix() throws {
        let folder = try TemporaryFolder()
        let a = try FileDescriptor.openForReading(path: folder.write("a", Array("aaa".utf8)))
        let b = try FileDescriptor.openForReading(path: folder.write("b", Array("bbb".utf8)))
        let (low, high) = (a.rawValue, b.rawValue)
        let (output, _) = try shell(
            "cat /proc/self/fd/\(low) /proc/self/fd/\(high)",
            extra: [(parent: high, child: low), (parent: low, child: high)])
        #expect(output == "bbbaaa")
    }

    @Test func aChildStartsWithNoSignalBlockedOrIgnored() throws {
        let result = Mutex<String>("")
        let thread = try Thread.start(name: "blocker") {
            Signals.block([SIGUSR1, SIGTERM])
            let output = try? shell("grep -E 'Sig(Blk|Ign)' /proc/self/status").0
            result.withLock { $0 = output ?? "" }
        }
        thread.join()
        let masks = result.withLock { $0 }.split(separator: "\n").compactMap { $0.split(separator: "\t").last }
            .compactMap { UInt64($0, radix: 16) }
        // The C library keeps two signals of its own, 32 and 33, out of reach.
        let own: UInt64 = 0x1_8000_0000
        #expect(masks.map { $0 & ~own } == [0, 0])
    }

    @Test func theEndIsSeenThroughADescriptorAndTheSignalIsNamed() throws {
        let child = try ChildProcess.spawn(
            executable: "/bin/sh", arguments: ["sh", "-c", "sleep 60"], environment: [], descriptors: [])
        let end = try child.openPidDescriptor()
        #expect(try child.reap() == nil)
        #expect(getpgid(child.processID) == child.processID)
        child.signal(SIGKILL)
        var wait = pollfd(fd: end.rawValue, events: Int16(POLLIN), revents: 0)
        #expect(poll(&wait, 1, 10_000) == 1)
        #expect(try child.reap() == .signal(SIGKILL))
    }

    @Test func aMissingProgramIsAnError() throws {
        let error = #expect(throws: SystemError.self) {
            try ChildProcess.spawn(executable: "/no/such", arguments: ["x"], environment: [], descriptors: [])
        }
        #expect(error?.code == ENOENT)
        #expect(error?.description.contains("/no/such") == true)
        #expect(throws: SystemError.self) {
            try ChildProcess.spawn(
                executable: "/bin/sh", arguments: [], environment: [], descriptors: [(parent: 0, child: 0), (1, 0)])
        }
    }

    @Test func aParentThatIsNotTheExpectedOneIsNoticed() {
        #expect(!ParentDeath.killSelfWhenParentDies(expectedParent: -1))
    }
}

@Suite(.timeLimit(.minutes(10))) struct ThreadTests {
    @Test func aThreadHasItsNameAndItsOwnNiceness() throws {
        let seen = Mutex<(String, Int32)>(("", 0))
        let before = getpriority(0, 0)
        let thread = try Thread.start(name: "a name that is long", niceness: 5) {
            let name = (try? SmallFile.read(path: "/proc/thread-self/comm", limit: 64)) ?? []
            let niceness = getpriority(0, 0)
            seen.withLock { $0 = (String(decoding: name, as: UTF8.self), niceness) }
        }
        thread.join()
        thread.join()
        #expect(seen.withLock { $0.0 } == "a name that is \n")
        #expect(seen.withLock { $0.1 } == min(before + 5, 19) || seen.withLock { $0.1 } == 5)
        #expect(getpriority(0, 0) == before)
    }

    @Test func aBlockedSignalIsReadFromADescriptor() throws {
        let seen = Mutex<[Int32?]>([])
        let thread = try Thread.start(name: "signals") {
            Signals.block([SIGUSR1])
            guard let descriptor = try? Signals.descriptor(for: [SIGUSR1]) else { return }
            seen.withLock { $0.append(Signals.next(from: descriptor.rawValue)) }
            pthread_kill(pthread_self(), SIGUSR1)
            seen.withLock { $0.append(Signals.next(from: descriptor.rawValue)) }
        }
        thread.join()
        #expect(seen.withLock { $0 } == [nil, SIGUSR1])
    }

    @Test func clocksMoveForwardAndRandomNumbersDiffer() {
        let first = MonotonicClock.now()
        #expect(MonotonicClock.now() >= first)
        #expect(WallClock.now() > 1_700_000_000_000_000_000)
        #expect(Set((0..<100).map { _ in SystemRandom.next() }).count == 100)
    }

    @Test func theEnvironmentAndTheProgramAreKnown() {
        #expect(Environment.value("PATH") == ProcessInfo.processInfo.environment["PATH"])
        #expect(Environment.all["PATH"] == Environment.value("PATH"))
        #expect(Environment.value("APUS_NO_SUCH_VARIABLE") == nil)
        #expect(FileManager.default.isExecutableFile(atPath: ExecutablePath.current()))
    }
}
