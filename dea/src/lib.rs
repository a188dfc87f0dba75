//! One per host: stages apps and runs instances.
