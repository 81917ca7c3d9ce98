/// Deadlines in order, with removal of any of them: a binary heap that knows where each entry stands.
///
/// Times are handed in. Entries with the same deadline leave in the order in which they came.
struct TimerHeap<Work> {
    struct Key: Hashable, Sendable {
        fileprivate let slot: Int
        fileprivate let generation: UInt64
    }

    private struct Slot {
        var generation: UInt64
        var place: Int
        var work: Work?
    }

    private struct Entry {
        var deadline: UInt64
        var order: UInt64
        var slot: Int

        func isBefore(_ other: Entry) -> Bool {
            deadline != other.deadline ? deadline < other.deadline : order < other.order
        }
    }

    private var slots: [Slot] = []
    private var freeSlots: [Int] = []
    private var heap: [Entry] = []
    private var inserted: UInt64 = 0

    init() {}

    var count: Int { heap.count }
    var firstDeadline: UInt64? { heap.first?.deadline }

    mutating func insert(deadline: UInt64, _ work: Work) -> Key {
        inserted += 1
        let slot = freeSlots.popLast() ?? slots.count
        if slot == slots.count { slots.append(Slot(generation: 0, place: 0, work: nil)) }
        slots[slot] = Slot(generation: inserted, place: heap.count, work: work)
        heap.append(Entry(deadline: deadline, order: inserted, slot: slot))
        moveUp(heap.count - 1)
        return Key(slot: slot, generation: inserted)
    }

    /// Takes an entry out; nil when it has left already.
    @discardableResult
    mutating func remove(_ key: Key) -> Work? {
        guard slots.indices.contains(key.slot), slots[key.slot].generation == key.generation else { return nil }
        return take(at: slots[key.slot].place)
    }

    /// The first entry whose deadline is not after `now`.
    mutating func popDue(now: UInt64) -> Work? {
        guard let first = heap.first, first.deadline <= now else { return nil }
        return take(at: 0)
    }

    private mutating func take(at place: Int) -> Work? {
        let slot = heap[place].slot
        let last = heap.removeLast()
        if place < heap.count {
            heap[place] = last
            slots[last.slot].place = place
            moveUp(place)
            moveDown(slots[last.slot].place)
        }
        let work = slots[slot].work
        slots[slot].work = nil
        slots[slot].generation = 0
        freeSlots.append(slot)
        return work
    }

    private mutating func moveUp(_ start: Int) {
        var place = start
        while place > 0, heap[place].isBefore(heap[(place - 1) / 2]) {
            exchange(place, (place - 1) / 2)
            place = (place - 1) / 2
        }
    }

    private mutating func moveDown(_ start: Int) {
        var place = start
        while true {
            var first = place
            for child in [2 * place + 1, 2 * place + 2] where child < heap.count {
                if heap[child].isBefore(heap[first]) { first = child }
            }
            if first == place { return }
            exchange(place, first)
            place = first
        }
    }

    private mutating func exchange(_ a: Int, _ b: Int) {
        heap.swapAt(a, b)
        slots[heap[a].slot].place = a
        slots[heap[b].slot].place = b
    }
}
