import TestSupport
import Testing

@testable import Platform

@Suite struct TimerHeapTests {
    @Test func entriesLeaveByDeadlineAndThenByArrival() {
        var heap = TimerHeap<String>()
        _ = heap.insert(deadline: 30, "late")
        _ = heap.insert(deadline: 10, "first")
        _ = heap.insert(deadline: 10, "second")
        #expect(heap.firstDeadline == 10)
        #expect(heap.popDue(now: 9) == nil)
        #expect(heap.popDue(now: 20) == "first")
        #expect(heap.popDue(now: 20) == "second")
        #expect(heap.popDue(now: 20) == nil)
        #expect(heap.popDue(now: .max) == "late")
        #expect(heap.firstDeadline == nil)
    }

    @Test func aKeyThatHasLeftRemovesNothing() {
        var heap = TimerHeap<Int>()
        let old = heap.insert(deadline: 1, 1)
        #expect(heap.popDue(now: 1) == 1)
        _ = heap.insert(deadline: 2, 2)
        #expect(heap.remove(old) == nil)
        #expect(heap.count == 1)
    }

    @Test func anyMixOfInsertionsAndRemovalsAgreesWithASortedList() {
        let seed: UInt64 = 0x5EED_0001
        var random = SeededRandom(seed: seed)
        var heap = TimerHeap<Int>()
        var reference: [(deadline: UInt64, value: Int)] = []
        var keys: [Int: TimerHeap<Int>.Key] = [:]
        for value in 0..<5000 {
            switch UInt64.random(in: 0..<4, using: &random) {
            case 0, 1:
                let deadline = UInt64.random(in: 0..<500, using: &random)
                keys[value] = heap.insert(deadline: deadline, value)
                let place = reference.firstIndex { $0.deadline > deadline } ?? reference.count
                reference.insert((deadline, value), at: place)
            case 2:
                guard let entry = reference.randomElement(using: &random), let key = keys[entry.value] else { break }
                #expect(heap.remove(key) == entry.value, "seed \(seed)")
                reference.removeAll { $0.value == entry.value }
            default:
                let now = UInt64.random(in: 0..<500, using: &random)
                let isDue = reference.first.map { $0.deadline <= now } ?? false
                #expect(heap.popDue(now: now) == (isDue ? reference.removeFirst().value : nil), "seed \(seed)")
            }
            #expect(heap.count == reference.count)
        }
        while let entry = reference.first {
            #expect(heap.popDue(now: .max) == entry.value)
            reference.removeFirst()
        }
    }
}

@Suite struct WatchTableTests {
    @Test func aTagOfARemovedWatchFindsNobody() {
        var table = WatchTable<String>()
        let old = table.insert(descriptor: 7, "old")
        #expect(table.remove(old) == 7)
        #expect(table.remove(old) == nil)
        let new = table.insert(descriptor: 7, "new")
        #expect(table.watch(old) == nil)
        #expect(table.watch(new)?.handler == "new")
        #expect(new != old)
    }

    @Test func removingAWatchLeavesTheReusedDescriptorWithItsNewOwner() {
        var table = WatchTable<String>()
        let old = table.insert(descriptor: 7, "closed without being removed")
        let new = table.insert(descriptor: 7, "reused")
        #expect(!table.isCurrent(old))
        #expect(table.remove(old) == nil)
        #expect(table.isCurrent(new))
        #expect(table.remove(new) == 7)
        #expect(table.count == 0)
    }

    @Test func theNextTagIsTheOneThatAnInsertionGets() {
        var table = WatchTable<Int>()
        for descriptor in 0..<4 as Range<Int32> {
            let next = table.nextTag
            #expect(table.insert(descriptor: descriptor, 0) == next)
            if descriptor == 1 { _ = table.remove(next) }
        }
    }
}
