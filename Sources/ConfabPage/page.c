/* The chat's page is a resource of this target, so a build puts it beside each program. For resources of a Swift target
 * the build adds code that imports Foundation, which is larger than all of Confab. For a C target it adds none. */
