/// Which descriptor is watched by whom: the part of the event loop that keeps stale events away.
///
/// The kernel hands back a tag with each event. A tag names a place and the generation of its owner; a place that was
/// given up has another generation, so an event that was already on its way finds nobody.
struct WatchTable<Handler> {
    struct Watch {
        let descriptor: Int32
        let handler: Handler
    }

    private struct Place {
        var generation: UInt32 = 0
        var watch: Watch?
    }

    private var places: [Place] = []
    private var freePlaces: [Int] = []
    private var tagOfDescriptor: [Int32: UInt64] = [:]

    init() {}

    var count: Int { places.count - freePlaces.count }

    /// The tag that the next `insert` will return.
    var nextTag: UInt64 {
        let place = freePlaces.last ?? places.count
        let generation = place < places.count ? places[place].generation : 0
        return UInt64(generation) << 32 | UInt64(place)
    }

    mutating func insert(descriptor: Int32, _ handler: Handler) -> UInt64 {
        let tag = nextTag
        let place = freePlaces.popLast() ?? places.count
        if place == places.count { places.append(Place()) }
        places[place].watch = Watch(descriptor: descriptor, handler: handler)
        tagOfDescriptor[descriptor] = tag
        return tag
    }

    func watch(_ tag: UInt64) -> Watch? {
        let place = Int(tag & 0xFFFF_FFFF)
        guard place < places.count, places[place].generation == UInt32(tag >> 32) else { return nil }
        return places[place].watch
    }

    /// Gives a watch up; returns its descriptor if the kernel still knows it under this watch.
    ///
    /// A descriptor that was closed and used again belongs to the newer watch: it must not be taken from that one.
    mutating func remove(_ tag: UInt64) -> Int32? {
        guard let watch = watch(tag) else { return nil }
        let place = Int(tag & 0xFFFF_FFFF)
        places[place].watch = nil
        places[place].generation &+= 1
        freePlaces.append(place)
        guard tagOfDescriptor[watch.descriptor] == tag else { return nil }
        tagOfDescriptor[watch.descriptor] = nil
        return watch.descriptor
    }

    /// Whether `tag` is the newest watch of its descriptor.
    func isCurrent(_ tag: UInt64) -> Bool {
        watch(tag).map { tagOfDescriptor[$0.descriptor] == tag } ?? false
    }
}
