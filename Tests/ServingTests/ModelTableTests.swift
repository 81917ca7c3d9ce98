import TestSupport
import Testing

@testable import Serving

/// What the table decides, with memory in units of one MiB and a clock that the test moves.
@Suite("The table of models") struct ModelTableTests {
    private static let mebibyte: UInt64 = 1 << 20
    private static let second: UInt64 = 1_000_000_000

    /// A table with models that are each granted a fixed memory.
    private func table(budget: UInt64, _ models: [(String, UInt64)], idleLimit: UInt64? = nil) -> ModelTable {
        var table = ModelTable(budget: budget * Self.mebibyte)
        for (name, megabytes) in models {
            let bytes = megabytes * Self.mebibyte
            table.set(
                name, need: ModelTable.Need(leastBytes: bytes / 2, grantedBytes: bytes), idleLimit: idleLimit,
                retriesAfter: 30 * Self.second)
        }
        return table
    }

    private func make(_ id: Int, _ model: String, _ megabytes: UInt64, isSuccessor: Bool = false) -> ModelTable.Action {
        .make(id, model: model, memoryLimit: megabytes * Self.mebibyte, isSuccessor: isSuccessor)
    }

    private func use(_ table: inout ModelTable, _ name: String, users: Int = 0, at seconds: UInt64) {
        table.note(ModelTable.Activity(users: users, idleSince: seconds * Self.second), of: name)
    }

    @Test("a model that is wanted is loaded once, and takes what it says from then on")
    func demand() throws {
        var table = table(budget: 100, [("a", 60)])
        #expect(try table.want("a", now: 0) == [make(1, "a", 60), .start(1)])
        #expect(try table.want("a", now: 0) == [])
        #expect(table.takenBytes == 60 * Self.mebibyte && !table.isLoaded("a"))
        #expect(table.loaded(1, bytes: 40 * Self.mebibyte) == [])
        #expect(table.takenBytes == 40 * Self.mebibyte && table.isLoaded("a"))
        #expect(table.loaded(1, bytes: 40 * Self.mebibyte) == [], "a restarted worker is the same load")
    }

    @Test("the least recently used idle model makes room, and its memory counts until its process has ended")
    func leastRecentlyUsed() throws {
        var table = table(budget: 100, [("a", 40), ("b", 40), ("c", 50)])
        _ = try table.want("a", now: 0)
        _ = try table.want("b", now: 0)
        _ = table.loaded(1, bytes: 0)
        _ = table.loaded(2, bytes: 0)
        use(&table, "a", at: 9)
        use(&table, "b", at: 5)
        #expect(try table.want("c", now: 10 * Self.second) == [make(3, "c", 50), .leave(2, .memory)])
        #expect(table.takenBytes == 80 * Self.mebibyte && table.shortage(of: 3) != nil)
        use(&table, "c", users: 1, at: 10)
        #expect(table.review(now: 11 * Self.second) == [], "one is enough")
        #expect(table.ended(2) == [.start(3)])
        #expect(table.takenBytes == 90 * Self.mebibyte && table.shortage(of: 3) == nil)
    }

    @Test("a model with calls is never pushed out; when they have ended, it is")
    func busy() throws {
        var table = table(budget: 100, [("a", 80), ("b", 60)])
        _ = try table.want("a", now: 0)
        _ = table.loaded(1, bytes: 0)
        use(&table, "a", users: 3, at: 1)
        use(&table, "b", users: 1, at: 2)
        #expect(try table.want("b", now: 0) == [make(2, "b", 60)])
        #expect(table.review(now: 100 * Self.second) == [])
        let shortage = try #require(table.shortage(of: 2))
        #expect(!shortage.isPermanent)
        #expect(shortage.text == "'b' needs 60 MiB, but 80 of 100 MiB are taken: 'a' 80 MiB (3 calls)")
        use(&table, "a", users: 0, at: 101)
        #expect(table.review(now: 101 * Self.second) == [.leave(1, .memory)])
        #expect(table.ended(1) == [.start(2)])
    }

    @Test("a model that is still loading is not pushed out")
    func loading() throws {
        var table = table(budget: 100, [("a", 80), ("b", 60)])
        _ = try table.want("a", now: 0)
        #expect(try table.want("b", now: 0) == [make(2, "b", 60)])
        use(&table, "b", users: 1, at: 0)
        #expect(table.loaded(1, bytes: 0) == [.leave(1, .memory)])
    }

    @Test("nothing is pushed out in vain")
    func inVain() throws {
        var table = table(budget: 100, [("idle", 20), ("busy", 50), ("big", 90)])
        _ = try table.want("idle", now: 0)
        _ = try table.want("busy", now: 0)
        _ = table.loaded(1, bytes: 0)
        _ = table.loaded(2, bytes: 0)
        use(&table, "busy", users: 1, at: 0)
        #expect(try table.want("big", now: 0) == [make(3, "big", 90)])
    }

    @Test("a file that is larger than the budget is refused for good, with the numbers")
    func neverFits() {
        var table = ModelTable(budget: 100 * Self.mebibyte)
        table.set("a", need: .init(leastBytes: 101 * Self.mebibyte), idleLimit: nil, retriesAfter: nil)
        let shortage = #expect(throws: MemoryShortage.self) { try table.want("a", now: 0) }
        #expect(shortage?.isPermanent == true)
        #expect(shortage?.text == "'a' needs 101 MiB; the memory budget is 100 MiB")
        #expect(table.takenBytes == 0)
    }

    @Test("at the start of the server nobody is pushed out for the next in the list")
    func start() throws {
        var table = table(budget: 100, [("a", 60), ("b", 60)])
        #expect(try table.start("a") == [make(1, "a", 60), .start(1)])
        _ = table.loaded(1, bytes: 0)
        #expect(throws: MemoryShortage.self) { try table.start("b") }
        #expect(table.isLoaded("a"))
    }

    @Test("an idle model is unloaded when its time has come, not before, and not with calls")
    func idle() throws {
        var table = table(budget: 100, [("a", 60)], idleLimit: 10 * Self.second)
        _ = try table.want("a", now: 0)
        use(&table, "a", at: 5)
        #expect(table.review(now: 100 * Self.second) == [], "it is still loading")
        _ = table.loaded(1, bytes: 0)
        #expect(table.review(now: 15 * Self.second - 1) == [])
        use(&table, "a", users: 1, at: 5)
        #expect(table.review(now: 15 * Self.second) == [])
        use(&table, "a", at: 5)
        #expect(table.review(now: 15 * Self.second) == [.leave(1, .idle)])
        #expect(table.takenBytes == 60 * Self.mebibyte)
        #expect(table.ended(1) == [])
        #expect(table.takenBytes == 0)
        #expect(try table.want("a", now: 0) == [make(2, "a", 60), .start(2)])
    }

    @Test("a load that nobody waits for any more is dropped, and pushes nobody out")
    func forgotten() throws {
        var table = table(budget: 100, [("a", 80), ("b", 60)])
        _ = try table.want("a", now: 0)
        _ = table.loaded(1, bytes: 0)
        use(&table, "a", users: 1, at: 0)
        _ = try table.want("b", now: 0)
        use(&table, "a", users: 0, at: 0)
        use(&table, "b", users: 0, at: 0)
        #expect(table.review(now: 0) == [.drop(2)])
        #expect(table.isLoaded("a"))
    }

    @Test("after a failure a call tries again only after a while, an administrator at once")
    func failure() throws {
        var table = table(budget: 100, [("a", 60)])
        _ = try table.want("a", now: 0)
        #expect(table.failed(1, now: 10 * Self.second) == [])
        #expect(table.takenBytes == 0)
        #expect(try table.want("a", now: 39 * Self.second) == [])
        #expect(try table.want("a", insists: true, now: 39 * Self.second) == [make(2, "a", 60), .start(2)])
        _ = table.failed(2, now: 40 * Self.second)
        #expect(try table.want("a", now: 70 * Self.second) == [make(3, "a", 60), .start(3)])
    }

    // MARK: Replacement

    @Test("a successor loads beside the old worker, takes over, and the old one leaves")
    func replacement() throws {
        var table = table(budget: 100, [("a", 40)])
        _ = try table.want("a", now: 0)
        _ = table.loaded(1, bytes: 0)
        use(&table, "a", users: 2, at: 0)
        #expect(try table.replace("a") == [make(2, "a", 40, isSuccessor: true), .start(2)])
        #expect(try table.replace("a") == [], "one at a time")
        #expect(table.takenBytes == 80 * Self.mebibyte)
        #expect(table.loaded(2, bytes: 30 * Self.mebibyte) == [.takeOver(2), .leave(1, .replaced)])
        #expect(table.takenBytes == 70 * Self.mebibyte && table.isLoaded("a"))
        _ = table.ended(1)
        #expect(table.takenBytes == 30 * Self.mebibyte)
    }

    @Test("a successor that fails leaves the old worker where it is")
    func failedReplacement() throws {
        var table = table(budget: 100, [("a", 40)])
        _ = try table.want("a", now: 0)
        _ = table.loaded(1, bytes: 0)
        _ = try table.replace("a")
        #expect(table.giveUp(2) == [.leave(2, .asked)])
        #expect(table.ended(2) == [])
        #expect(table.isLoaded("a") && table.takenBytes == 40 * Self.mebibyte)
        #expect(try table.replace("a") == [make(3, "a", 40, isSuccessor: true), .start(3)])
    }

    @Test("where both do not fit at once, the numbers say so, and nothing changes")
    func noRoomForBoth() throws {
        var table = table(budget: 100, [("a", 60), ("b", 10)])
        _ = try table.want("a", now: 0)
        _ = try table.want("b", now: 0)
        _ = table.loaded(1, bytes: 0)
        _ = table.loaded(2, bytes: 0)
        let shortage = #expect(throws: MemoryShortage.self) { try table.replace("a") }
        #expect(shortage?.text.contains("'a' needs 60 MiB, but 70 of 100 MiB are taken") == true)
        #expect(table.isLoaded("a") && table.isLoaded("b"))
    }

    @Test("other idle models make room for a successor")
    func roomForSuccessor() throws {
        var table = table(budget: 100, [("a", 40), ("b", 40)])
        _ = try table.want("a", now: 0)
        _ = try table.want("b", now: 0)
        _ = table.loaded(1, bytes: 0)
        _ = table.loaded(2, bytes: 0)
        #expect(try table.replace("a") == [make(3, "a", 40, isSuccessor: true), .leave(2, .memory)])
        #expect(table.review(now: 0) == [])
        #expect(table.ended(2) == [.start(3)])
    }

    @Test("an alone model whose share is the whole budget can still be replaced beside itself")
    func shareOfSuccessor() throws {
        var table = ModelTable(budget: 1000 * Self.mebibyte)
        table.set("a", need: .init(leastBytes: 100 * Self.mebibyte), idleLimit: nil, retriesAfter: nil)
        #expect(try table.want("a", now: 0) == [make(1, "a", 1000), .start(1)])
        _ = table.loaded(1, bytes: 300 * Self.mebibyte)
        #expect(try table.replace("a") == [make(2, "a", 700, isSuccessor: true), .start(2)])
    }

    @Test("unloading ends the worker and its successor; removing forgets the name")
    func unload() throws {
        var table = table(budget: 100, [("a", 40)])
        _ = try table.want("a", now: 0)
        _ = table.loaded(1, bytes: 0)
        _ = try table.replace("a")
        #expect(table.unload("a") == [.leave(2, .asked), .leave(1, .asked)])
        #expect(try table.want("a", now: 0) == [make(3, "a", 40)])
        #expect(table.remove("a") == [.drop(3)])
        #expect(try table.want("a", now: 0) == [])
        #expect(table.ended(1) == [])
        #expect(table.ended(2) == [])
        #expect(table.takenBytes == 0)
    }

    // MARK: Shares

    @Test("models that fit at once get what their weights need and an even part of the rest")
    func shares() throws {
        var table = ModelTable(budget: 1128 * Self.mebibyte)
        table.set("a", need: .init(leastBytes: 100 * Self.mebibyte), idleLimit: nil, retriesAfter: nil)
        table.set("b", need: .init(leastBytes: 300 * Self.mebibyte), idleLimit: nil, retriesAfter: nil)
        guard case .make(_, _, let a, _)? = try table.want("a", now: 0).first,
            case .make(_, _, let b, _)? = try table.want("b", now: 0).first
        else { throw CancellationError() }
        // The weights need 115 + 64 and 345 + 64; of the other 540 each gets 270.
        #expect(a == 449 * Self.mebibyte && b == 679 * Self.mebibyte)
        #expect(table.shortage(of: 2) == nil, "both are loaded")
    }

    @Test("no sequence of events takes more than the budget or pushes out a model with calls", arguments: 0..<20)
    func random(seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed) + 1)
        let names = ["a", "b", "c", "d"]
        var table = table(budget: 100, [("a", 30), ("b", 40), ("c", 50), ("d", 70)], idleLimit: 20 * Self.second)
        var users: [String: Int] = [:]
        var models: [Int: String] = [:]
        var started: Set<Int> = []
        var leaving: Set<Int> = []
        for now in 0..<2000 {
            let name = names[Int(random.next() % 4)]
            var actions: [ModelTable.Action] = []
            let time = UInt64(now) * Self.second
            switch random.next() % 8 {
            case 0, 1: actions = (try? table.want(name, now: time)) ?? []
            case 2: actions = (try? table.replace(name)) ?? []
            case 3:
                users[name] = Int(random.next() % 3)
                table.note(.init(users: users[name] ?? 0, idleSince: time), of: name)
            case 4:
                actions =
                    started.subtracting(leaving).randomElement(using: &random)
                    .map { table.loaded($0, bytes: 20 * Self.mebibyte) } ?? []
            case 5:
                guard let id = leaving.randomElement(using: &random) else { continue }
                leaving.remove(id)
                started.remove(id)
                actions = table.ended(id)
            case 6: actions = table.review(now: time)
            default: if random.next() % 8 == 0 { actions = table.unload(name) }
            }
            for action in actions {
                switch action {
                case .make(let id, let model, _, _): models[id] = model
                case .start(let id):
                    #expect(!started.contains(id), "started twice")
                    started.insert(id)
                case .drop(let id): #expect(!started.contains(id), "a started worker is dropped")
                case .takeOver(let id): #expect(started.contains(id))
                case .leave(let id, let reason):
                    #expect(started.contains(id) && !leaving.contains(id))
                    leaving.insert(id)
                    let calls = models[id].flatMap { users[$0] } ?? 0
                    if reason == .memory || reason == .idle { #expect(calls == 0, "a model with calls was pushed out") }
                }
            }
            #expect(table.takenBytes <= 100 * Self.mebibyte)
        }
        #expect(models.count > 10)
    }
}
